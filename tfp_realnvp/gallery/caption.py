"""What a run's own files say about it, in a line."""

from __future__ import annotations

import csv
import json
import pathlib
from collections.abc import Callable
from typing import Any

from tfp_realnvp.runs.run import SCORES_IN_SUMMARY
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory

_IN_HISTORY: dict[str, tuple[str, Callable[[list[float]], float]]] = {
    "last": ("val_bits_per_dim", lambda values: values[-1]),
    "best": ("val_bits_per_dim", min),
    "average": ("val_average_bits_per_dim", lambda values: values[-1]),
}


def run_facts(directory: RunDirectory, config: RunConfig, weights: str) -> list[str]:
    """Returns data set, bits/dim and steps of a run, or of what there is of it.

    Args:
      directory: The run's folder.
      config: Its configuration.
      weights: Which weights, see `RunDirectory.weights`.

    Raises:
      ValueError: If `summary.json` or `history.csv` is damaged.
    """
    try:
        height, width, _ = config.flow["event_shape"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"run: {directory.path / 'config.json'} is damaged: {error!r}"
        ) from error
    kind, _, path = config.dataset.partition(":")
    # The page may be shown to others, whom the folder's place does not concern.
    name = f"{kind} {pathlib.Path(path).name}" if path else kind
    conditional = ["conditional"] if config.is_conditional else []
    facts = [f"{name}, {height} x {width}", *conditional, f"{weights} weights"]
    summary = directory.path / "summary.json"
    for file, read in ((summary, _finished), (directory.history, _unfinished)):
        if not file.is_file():
            continue
        try:
            return facts + read(file, weights)
        except (
            ValueError,
            KeyError,
            TypeError,
            IndexError,
            csv.Error,
            RecursionError,
        ) as error:
            raise ValueError(f"run: {file} is damaged: {error!r}") from error
    return [*facts, "training was cut off and has left no figures"]


def _finished(file: pathlib.Path, weights: str) -> list[str]:
    summary: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    key, split = SCORES_IN_SUMMARY[weights]
    return [
        f"{summary[key]:.3f} bits/dim on {split} images",
        f"{summary['steps']:,} steps",
    ]


def _unfinished(file: pathlib.Path, weights: str) -> list[str]:
    with open(file, newline="", encoding="utf-8") as lines:
        history = list(csv.DictReader(lines))
    key, choose = _IN_HISTORY[weights]
    bits = choose([float(row[key]) for row in history])
    return [
        f"{bits:.3f} bits/dim on validation images",
        f"training not finished after epoch {len(history)}",
    ]
