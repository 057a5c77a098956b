"""Exports of a run: their numbers, and where their weights come from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import pathlib
from typing import Any

from tfp_realnvp.arguments import check_path, shortened
from tfp_realnvp.runs.run import SCORES_IN_SUMMARY
from tfp_realnvp.runs.run_directory import RunDirectory


def next_version(directory: str | os.PathLike) -> pathlib.Path:
    """Returns the folder of the next version: `directory/1`, then `directory/2`, ...

    That is how TensorFlow Serving finds new versions and goes back to old ones.

    Args:
      directory: Folder of all versions, which need not be there yet.

    Raises:
      FileExistsError: If it is a file, or a SavedModel itself.
      ValueError: If `directory` is not a path.
    """
    check_path("directory", directory)
    directory = pathlib.Path(directory)
    is_file = directory.exists() and not directory.is_dir()
    if is_file or (directory / "saved_model.pb").exists():
        kind = "file" if is_file else "SavedModel itself"
        raise FileExistsError(
            f"directory: expected a folder of versions, but {directory} is a {kind}."
        )
    # Other digits than these are no numbers to TensorFlow Serving.
    names = [p.name for p in directory.glob("[0-9]*") if p.name.isdecimal()]
    return directory / str(1 + max((int(name) for name in names), default=0))


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
        "bits_per_dim": _bits_per_dim(directory.path, path.stat().st_mtime, weights),
        "weights": weights,
        "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "config": dataclasses.asdict(config),
    }


def _bits_per_dim(run: pathlib.Path, since: float, weights: str) -> dict | None:
    # By our names, those in the files.
    names = {
        "value": "bits_per_dim",
        "images": "images",
        "standard_error": "standard_error_over_images",
    }
    evaluation = _read(run / "evaluation.json", since, names)
    if evaluation.get("weights") == weights:
        found = {ours: evaluation.get(name) for ours, name in names.items()}
        return {**found, "split": str(evaluation.get("split"))}
    name, split = SCORES_IN_SUMMARY[weights]
    value = _read(run / "summary.json", since, {"value": name}).get(name)
    return None if value is None else {"value": value, "split": split}


def _read(path: pathlib.Path, since: float, names: dict[str, str]) -> dict[str, Any]:
    """Returns what a file says of weights written then; nothing if it is older."""
    if not path.is_file() or path.stat().st_mtime < since:
        return {}
    try:
        values = dict(json.loads(path.read_text(encoding="utf-8")))
        if not all(math.isfinite(values.get(name) or 0) for name in names.values()):
            raise ValueError(f"expected finite numbers, got {shortened(values)}")
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"run: {path} is damaged: {error}") from error
    return values
