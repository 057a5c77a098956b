"""Where the weights of an artifact come from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import pathlib
from typing import Any

from tfp_realnvp.arguments import shortened
from tfp_realnvp.runs.run import SCORES_IN_SUMMARY
from tfp_realnvp.runs.run_directory import RunDirectory


def run_origin(directory: RunDirectory, weights: str = "last") -> dict[str, Any]:
    """Returns what is known of a run: data set, classes, configuration, bits/dim.

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
        "condition_names": config.condition_names,
        "bits_per_dim": _bits_per_dim(directory, weights),
        "weights": weights,
        "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "config": dataclasses.asdict(config),
    }


def _bits_per_dim(directory: RunDirectory, weights: str) -> dict[str, Any] | None:
    written = directory.weights(weights).stat().st_mtime
    path = directory.path / "evaluation.json"
    evaluation = _read(path, since=written)
    if evaluation.get("weights") == weights:
        names = {
            "value": "bits_per_dim",
            "images": "images",
            "standard_error": "standard_error_over_images",
        }
        found = {ours: _number(path, evaluation, name) for ours, name in names.items()}
        return {**found, "split": str(evaluation.get("split"))}
    path = directory.path / "summary.json"
    name, split = SCORES_IN_SUMMARY[weights]
    value = _number(path, _read(path, since=written), name)
    return None if value is None else {"value": value, "split": split}


def _number(path: pathlib.Path, values: dict[str, Any], name: str) -> float | None:
    value = values.get(name)
    is_number = isinstance(value, (int, float)) and math.isfinite(value)
    if value is not None and not is_number:
        raise ValueError(
            f"run: {path} is damaged: expected a finite number as {name}, got "
            f"{shortened(value)}."
        )
    return value


def _read(path: pathlib.Path, *, since: float) -> dict[str, Any]:
    """Returns what a file says of weights written then; nothing if it is older."""
    if not path.is_file() or path.stat().st_mtime < since:
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"run: {path} is damaged: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"run: {path} is damaged: expected an object in it.")
    return values
