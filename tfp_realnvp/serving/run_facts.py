"""What an artifact says of the run that its weights come from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

from tfp_realnvp.training.run_directory import RunDirectory

_IN_SUMMARY = {
    "last": ("test_bits_per_dim", "test"),
    "best": ("best_validation_bits_per_dim", "validation"),
    "average": ("average_test_bits_per_dim", "test"),
}


def run_facts(directory: RunDirectory, weights: str = "last") -> dict[str, Any]:
    """Returns what is known of a run: data set, configuration, bits/dim.

    Args:
      directory: Folder of the run.
      weights: Python `str`, which of its weights, see `RunDirectory.weights`.

    Returns:
      `dict` for `export_saved_model`. `bits_per_dim` is what `evaluate` or, if it has
      not been run on these weights, training has found, with the split and, of
      `evaluate`, the number of images and the standard error; `None` if neither has.

    Raises:
      FileNotFoundError: If the folder holds no run or not these weights.
      ValueError: If one of its files is damaged.
    """
    config = directory.load_config()
    directory.check_weights(weights)
    path = directory.weights(weights)
    return {
        "dataset": config.dataset,
        "bits_per_dim": _bits_per_dim(directory, weights),
        "weights": weights,
        "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "config": dataclasses.asdict(config),
    }


def _bits_per_dim(directory: RunDirectory, weights: str) -> dict[str, Any] | None:
    written = directory.weights(weights).stat().st_mtime
    evaluation = _read(directory.path / "evaluation.json", since=written)
    if evaluation.get("weights") == weights:
        return {
            "value": evaluation.get("bits_per_dim"),
            "split": evaluation.get("split"),
            "images": evaluation.get("images"),
            "standard_error": evaluation.get("standard_error_over_images"),
        }
    name, split = _IN_SUMMARY[weights]
    value = _read(directory.path / "summary.json", since=written).get(name)
    return None if value is None else {"value": value, "split": split}


def _read(path: pathlib.Path, *, since: float) -> dict[str, Any]:
    """Returns what a file says of weights written then; nothing if it is older."""
    if not path.is_file() or path.stat().st_mtime < since:
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"run: {path} is damaged: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"run: {path} is damaged: expected an object in it.")
    return values
