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
from tfp_realnvp.evaluation.image_scores import score_images
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
      back: What came back: report.json and all parts of the weights, exact-*.npz or
        else rounded-*.npz.
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
    kind, files = _weights_in(back)
    state, extra = bridge.state_parts.read_parts([str(path) for path in files])
    config = RunConfig(**about["run"])
    steps_per_epoch = about["images"]["train"] // extra["batch"]
    config = dataclasses.replace(
        config,
        batch_size=extra["batch"],
        learning_rate=report["plan"]["learning_rate"],
        epochs=max(1, -(-extra["step"] // steps_per_epoch)),
        data_dir=data_dir or config.data_dir,
    )
    data = config.load_data()
    model, _, variables = prepare(config, bridge)
    which = _assign(model, variables, state, about)
    # If this fails there is no folder yet.
    scores = score_images(model, data.test, draws=draws, limit=images)
    samples = image_grid(sample_images(model.flow, _SAMPLES, seed=0), columns=8)
    directory = RunDirectory.create(output, config)
    weights = directory.weights(which)
    model.save_weights(weights)
    write_png(output / "samples.png", samples)
    found = {
        "step": extra["step"],
        "planned_steps": report["plan"]["steps"],
        "weights": f"{which}, {kind}",
        "test_bits_per_dim": float(scores.mean()),
        "test_images": scores.shape[0],
        "draws": draws,
        "on_gpu": next(
            (
                entry
                for entry in reversed(report["evaluations"])
                if entry["step"] == extra["step"]
            ),
            None,
        ),
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "packed": about["machine"],
    }
    write_json(output / "evaluation_of_gpu.json", found)
    write_json(output / "report_of_gpu.json", report)
    return found


def _weights_in(back: pathlib.Path) -> tuple[str, list[pathlib.Path]]:
    for kind, pattern in (
        ("as they were", "exact-[0-9]*.npz"),
        ("rounded to bfloat16", "rounded-[0-9]*.npz"),
    ):
        files = sorted(back.glob(pattern))
        if files:
            return kind, files
    raise ValueError(
        f"--back: expected exact-000.npz, ... or rounded-000.npz, ..., got {back} "
        "without them."
    )


def _assign(
    model: Any,
    variables: dict[str, Any],
    state: dict[str, np.ndarray],
    about: dict[str, Any],
) -> str:
    """Sets the model's weights; returns which they are."""
    for which in ("average", "weights"):
        names = about["names"][which]
        if names and set(names) == set(state):
            break
    else:
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
    return "average" if which == "average" else "last"
