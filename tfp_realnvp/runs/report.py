"""What a training run has come to: figures, pictures and a summary."""

from __future__ import annotations

import math
from typing import Any

from tfp_realnvp.data import ImageData
from tfp_realnvp.data.image_data import (
    gaussian_bits_per_dim,
    pipeline_images_per_second,
)
from tfp_realnvp.figures import (
    sample_images,
    samples_beside_data,
    write_learning_curve,
    write_png,
)
from tfp_realnvp.files import write_json
from tfp_realnvp.runs.callbacks import Report, Throughput
from tfp_realnvp.runs.checkpoint import Progress
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.training.flow_model import FlowModel

# By weights, see `RunDirectory.weights`: the name of their score in the summary, and
# of the split that it is of.
SCORES_IN_SUMMARY = {
    "last": ("test_bits_per_dim", "test"),
    "best": ("best_validation_bits_per_dim", "validation"),
    "average": ("average_test_bits_per_dim", "test"),
}
_PICTURED = 64
_CURVES = ("bits_per_dim", "val_bits_per_dim", "val_average_bits_per_dim")


def evaluate_run(
    model: FlowModel, data: ImageData, config: RunConfig, progress: Progress
) -> dict[str, Any]:
    """Returns the summary of a run; on several workers all must ask for it.

    Args:
      model: The trained model.
      data: The images it was trained on.
      config: What the run was made from.
      progress: How far it came.
    """
    size = config.step_size
    print("Evaluating on training and test images.", flush=True)
    line = Report(1, 1, Throughput(size))

    def score(images: Any) -> float:
        found = model.evaluate(images, callbacks=[line], verbose=0, return_dict=True)
        return found["bits_per_dim"]

    summary = {
        "train_bits_per_dim": score(data.train.batches(size, limit=data.test.count)),
        "test_bits_per_dim": score(data.test_batches(size)),
        "best_validation_bits_per_dim": progress.best,
        "gaussian_test_bits_per_dim": gaussian_bits_per_dim(data.train, data.test),
        "uniform_bits_per_dim": 8.0,
    }
    if model.has_average:
        with model.averaged_weights():
            summary["average_test_bits_per_dim"] = score(data.test_batches(size))
    return {
        **summary,
        # A single step compiles and tells nothing.
        "images_per_second": progress.history[-1].get("images_per_second"),
        "pipeline_images_per_second": pipeline_images_per_second(
            data.training_batches(size, seed=config.seed), size
        ),
        "epochs": len(progress.history),
        "steps": progress.step,
        "skipped_steps": progress.skipped_steps,
        "minutes": progress.seconds / 60,
        "parameters": sum(w.shape.num_elements() for w in model.trainable_variables),
    }


def write_report(
    model: FlowModel,
    data: ImageData,
    config: RunConfig,
    progress: Progress,
    summary: dict[str, Any],
    directory: RunDirectory,
) -> None:
    """Writes `summary.json`, `samples.png` and `learning_curve.png`, and says so.

    Arguments as for `evaluate_run`, then its result and the run's folder.
    """
    # Whatever becomes of the files.
    _print_scores(data, summary)
    examples = data.test.take(min(_PICTURED, data.test.count))
    samples = sample_images(
        model.flow,
        len(examples),
        seed=config.seed,
        condition=data.test.take_conditions(len(examples)),
    )
    write_png(directory.path / "samples.png", samples_beside_data(examples, samples))
    write_learning_curve(
        directory.path / "learning_curve.png",
        {
            name: [logs.get(name, math.nan) for logs in progress.history]
            for name in _CURVES
            if name in progress.history[-1]
        },
        references={
            "Gaussian per pixel": summary["gaussian_test_bits_per_dim"],
            "uniform": 8.0,
        },
    )
    # Last, for it says that the run has come to its end.
    write_json(directory.path / "summary.json", summary)
    print(
        f"Wrote {directory.path}/samples.png, learning_curve.png, summary.json, "
        f"{directory.history.name}, {directory.weights().name}, "
        f"{directory.weights('best').name} and config.json."
    )


def _print_scores(data: ImageData, summary: dict[str, Any]) -> None:
    speed, gaussian = (
        summary[name] for name in ("images_per_second", "gaussian_test_bits_per_dim")
    )
    average = summary.get("average_test_bits_per_dim")
    skipped = summary["skipped_steps"]
    print(
        f"{data.name}: {summary['train_bits_per_dim']:.3f} bits/dim on training "
        f"images, {summary['test_bits_per_dim']:.3f} on test images (a Gaussian for "
        f"each pixel: {gaussian:.3f}, uniform: 8), "
        + (f"{speed:.0f} images/s" if speed else "speed unknown after one step")
        + f" (the input alone: {summary['pipeline_images_per_second']:.0f})."
        + (f"\nWith averaged weights: {average:.3f} on test images." if average else "")
        + (f"\n{skipped} steps were skipped, see above." if skipped else ""),
        flush=True,
    )
