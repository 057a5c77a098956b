"""A training run, from its configuration to its report."""

from __future__ import annotations

import functools
import math
import re
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.data import ImageData
from tfp_realnvp.data.image_data import gaussian_bits_per_dim
from tfp_realnvp.figures import (
    sample_images,
    samples_beside_data,
    write_learning_curve,
    write_png,
)
from tfp_realnvp.files import write_json
from tfp_realnvp.runs.callbacks import (
    EvaluateAverage,
    LearningRate,
    Report,
    Throughput,
    TimeLimit,
)
from tfp_realnvp.runs.checkpoint import Checkpoints, Progress, load_checkpoint
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.runs.strategy import gathered, is_chief
from tfp_realnvp.training.flow_model import FlowModel

# For each kind of weights, see `RunDirectory.weights`: the name of its score in the
# summary, and the split of that score.
SCORES_IN_SUMMARY = {
    "last": ("test_bits_per_dim", "test"),
    "best": ("best_validation_bits_per_dim", "validation"),
    "average": ("average_test_bits_per_dim", "test"),
}
_VALIDATION_IMAGES = 1000
_PICTURED = 64


def train(
    model: FlowModel,
    config: RunConfig,
    data: ImageData,
    directory: RunDirectory,
    *,
    checkpoint_steps: int = 500,
    callbacks: list[keras.callbacks.Callback] | None = None,
    verbose: bool = True,
) -> Progress:
    """Trains a model, from the folder's checkpoint on if there is one.

    A resumed run reaches the same weights as an uninterrupted one, on CPUs bit for bit,
    unless `config.minutes` is set.

    Args:
      model: The result of `config.build_model`.
      config: Configuration of the run.
      data: The images.
      directory: The run's folder, for checkpoints, weights and history.
      checkpoint_steps: Python `int`, steps between checkpoints.
      callbacks: More Keras callbacks.
      verbose: Python `bool`, whether to print the progress.

    Returns:
      The run's `Progress`.

    Raises:
      ConnectionError: If another worker is gone.
      FloatingPointError: If loss or gradient is not finite; a checkpoint with the
        last good weights has been written.
      ValueError: If an argument is invalid or the checkpoint does not fit.
    """
    strategy, images = model.distribute_strategy, data.fingerprint()
    steps = data.steps_per_epoch(config.step_size)
    total = config.epochs * steps
    # Wait: the chief may still be making the folder.
    gathered(strategy, 0)
    progress = Progress(data=images)
    if directory.checkpoint.exists():
        progress = load_checkpoint(directory.checkpoint, model)
        if progress.data != images:
            raise ValueError(
                f"resume: expected the images of the checkpoint, {progress.data}; got "
                f"{images}."
            )
        print(f"Going on after step {progress.step} of {total}.")
    if len(set(gathered(strategy, progress.step))) > 1:
        raise ValueError(
            "resume: expected the same checkpoint on all workers, which must share the "
            f"run's folder; this one is at step {progress.step}."
        )
    limit = None
    if config.minutes is not None:
        limit = TimeLimit(config.minutes, progress.seconds)
    validation = data.validation_batches(config.step_size, limit=_VALIDATION_IMAGES)
    own = directory if is_chief(strategy) else None
    checkpoints = Checkpoints(own, progress, checkpoint_steps)
    speed = Throughput(config.step_size)
    if verbose:
        speed = Report(config.step_size, steps, config.epochs, limit)
    every = [
        # Other callbacks read the time limit, so it must begin first.
        *([] if limit is None else [limit]),
        LearningRate(
            config.learning_rate,
            total,
            config.schedule,
            warmup_steps=config.warmup_steps,
            time_limit=limit,
        ),
        *([] if config.average_decay is None else [EvaluateAverage(validation)]),
        *(callbacks or []),
        speed,
        # Last: a resumed run does not repeat what others do at the end of an epoch.
        checkpoints,
    ]
    is_over = limit is not None and progress.seconds >= 60 * limit.minutes
    try:
        while progress.step < total and not is_over:
            epoch, done = divmod(progress.step, steps)
            model.fit(
                _training_batches(data, config, progress.step, strategy),
                steps_per_epoch=steps - done,
                initial_epoch=epoch,
                # The rest of an interrupted epoch has fewer steps than the next ones.
                epochs=epoch + 1 if done else config.epochs,
                validation_data=validation,
                callbacks=every,
                verbose=0,
                shuffle=False,
            )
            is_over = model.stop_training
    except FloatingPointError:
        checkpoints.save()
        raise
    except tf.errors.OpError as error:
        reason = re.search(r"Collective ops is aborted by: (.*)", error.message)
        if strategy.cluster_resolver is None or reason is None:
            raise
        raise ConnectionError(
            f"strategy: another worker is gone or out of reach ({reason[1].strip()}). "
            f"The last checkpoint is that of step {progress.step}; start all workers "
            "again to go on from it (tfp-realnvp train: with --resume)."
        ) from error
    return progress


def _training_batches(
    data: ImageData, config: RunConfig, step: int, strategy: tf.distribute.Strategy
) -> Any:
    """Returns batches from number `step` on; each of several workers gets its part."""
    batches = functools.partial(
        data.training_batches, config.step_size, seed=config.seed, first_step=step
    )
    if strategy.cluster_resolver is None:
        return batches()
    replicas = strategy.num_replicas_in_sync

    def parts(context: tf.distribute.InputContext) -> tf.data.Dataset:
        count = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * count
        workers = range(first, first + count)
        own = [batches(worker=i, num_workers=replicas) for i in workers]
        turns = tf.data.Dataset.range(count).repeat()
        return tf.data.Dataset.choose_from_datasets(own, turns)

    return strategy.distribute_datasets_from_function(parts)


def evaluate_run(
    model: FlowModel, data: ImageData, config: RunConfig, progress: Progress
) -> dict[str, Any]:
    """Returns the summary of a run; all workers must call it together.

    Args:
      model: The trained model.
      data: The images of the run.
      config: Configuration of the run.
      progress: The result of `train`.
    """
    size = config.step_size
    print("Evaluating on training and test images.", flush=True)
    line = Report(size)

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
        # `None` after a single step, which is mostly compilation.
        "images_per_second": progress.history[-1].get("images_per_second"),
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
    """Writes `summary.json`, `samples.png` and `learning_curve.png`; prints scores.

    Arguments are those of `evaluate_run`, its result, and the run's folder.
    """
    # First, in case writing the files fails.
    _print_scores(data, summary)
    examples = data.test.take(min(_PICTURED, data.test.count))
    condition = data.test.take_conditions(len(examples))
    samples = sample_images(
        model.flow, len(examples), seed=config.seed, condition=condition
    )
    write_png(directory.path / "samples.png", samples_beside_data(examples, samples))
    gaussian, history = summary["gaussian_test_bits_per_dim"], progress.history
    curves: dict[str, list[float]] = {
        name: [logs.get(name, math.nan) for logs in history]
        for name in ("bits_per_dim", "val_bits_per_dim", "val_average_bits_per_dim")
        if name in history[-1]
    }
    write_learning_curve(
        directory.path / "learning_curve.png",
        curves,
        references={"Gaussian per pixel": gaussian, "uniform": 8.0},
    )
    # Last, as this file marks the run as finished.
    write_json(directory.path / "summary.json", summary)
    print(
        f"Wrote {directory.path}/samples.png, learning_curve.png, summary.json, "
        f"{directory.history.name}, {directory.weights().name}, "
        f"{directory.weights('best').name} and config.json."
    )


def _print_scores(data: ImageData, summary: dict[str, Any]) -> None:
    speed = summary["images_per_second"]
    print(
        f"{data.name}: {summary['train_bits_per_dim']:.3f} bits/dim on training "
        f"images, {summary['test_bits_per_dim']:.3f} on test images (a Gaussian for "
        f"each pixel: {summary['gaussian_test_bits_per_dim']:.3f}, uniform: 8), "
        + (f"{speed:.0f} images/s." if speed else "speed unknown after one step.")
    )
    if "average_test_bits_per_dim" in summary:
        average = summary["average_test_bits_per_dim"]
        print(f"With averaged weights: {average:.3f} on test images.")
    if summary["skipped_steps"]:
        print(f"{summary['skipped_steps']} steps were skipped, see above.")
