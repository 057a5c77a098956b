"""Makes a run of what came back from the GPU machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

import numpy as np

from gpu.bridge import Bridge
from gpu.pack import prepare, read_about
from tfp_realnvp.evaluation import score_split
from tfp_realnvp.figures import image_grid, sample_images, write_png
from tfp_realnvp.files import write_json
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory

_SAMPLES = 64


def unpack(
    packed: pathlib.Path,
    back: pathlib.Path,
    bridge: Bridge,
    output: pathlib.Path,
    *,
    data_dir: str | None,
    images: int | None,
    draws: int,
) -> dict[str, Any]:
    """Writes a run's folder with the trained weights, their score, and samples.

    Args:
      packed: Folder that `pack` wrote.
      back: What came back: report.json and all of weights-000.npz, ...
      bridge: Modules of the bridge.
      output: The run's folder.
      data_dir: Folder of prepared TFDS data, or `None`.
      images: Test images to score, or `None` for all.
      draws: Draws of noise for each.

    Returns:
      What is written to evaluation_of_gpu.json.

    Raises:
      ValueError: If parts of the weights are missing, or belong to another run.
    """
    about = read_about(packed)
    report = json.loads((back / "report.json").read_text(encoding="utf-8"))
    paths = sorted(map(str, back.glob("weights-[0-9]*.npz")))
    state, extra = bridge.state_parts.read_parts(paths)
    batch_size = extra["batch_size"]
    updates = about["images"]["train"] // batch_size
    config = dataclasses.replace(
        RunConfig(**about["run"]),
        batch_size=batch_size,
        learning_rate=about["learning_rates"][str(batch_size)],
        epochs=max(1, -(-extra["step"] // updates)),
        data_dir=data_dir,
    )
    data = config.load_data()
    model = prepare(config, bridge).model
    _assign(model, state, about["names"]["weights"])
    # If this fails there is no folder yet.
    scores = score_split(model, data.test, draws=draws, limit=images)
    samples = image_grid(sample_images(model.flow, _SAMPLES, seed=0), columns=8)
    directory = RunDirectory.create(output, config)
    weights = directory.weights("last" if model.average is None else "average")
    model.save_weights(weights)
    write_png(output / "samples.png", samples)
    found = {
        "step": extra["step"],
        "weights": weights.name,
        "test_bits_per_dim": float(scores.mean()),
        "test_images": scores.shape[0],
        "draws": draws,
        "on_gpu": next(iter(report["evaluations"][-1:]), None),
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "packed": about["machine"],
    }
    write_json(output / "evaluation_of_gpu.json", found)
    write_json(output / "report_of_gpu.json", report)
    return found


def _assign(model: Any, state: dict[str, np.ndarray], names: list[str]) -> None:
    if set(names) != set(state):
        raise ValueError(
            "--back: expected the weights of the packed model, got parts of another "
            "one."
        )
    for weight, name in zip(model.weights, names, strict=True):
        if weight.shape != state[name].shape:
            raise ValueError(
                f"--back: expected {weight.path} of shape {tuple(weight.shape)}, got "
                f"{state[name].shape}."
            )
        weight.assign(state[name])
