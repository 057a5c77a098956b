"""What a run's own files say about it, in a line."""

from __future__ import annotations

import csv
import json
import pathlib

from tfp_realnvp.runs.run import SCORES_IN_SUMMARY
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory


def run_facts(directory: RunDirectory, config: RunConfig, weights: str) -> list[str]:
    """Returns data set, bits/dim and steps of a run, or of what there is of it.

    Raises:
      ValueError: If one of the run's files is damaged.
    """
    kind, _, path = config.dataset.partition(":")
    # The page may be shown to others, whom the folder's place does not concern.
    name = f"{kind} {pathlib.Path(path).name}" if path else kind
    file = directory.path / "config.json"
    try:
        height, width, _ = config.flow["event_shape"]
        facts = [f"{name}, {height} x {width}"]
        facts += ["conditional"] if config.is_conditional else []
        facts += [f"{weights} weights"]
        file = directory.path / "summary.json"
        if file.is_file():
            return facts + _finished(file, weights)
        file = directory.history
        if file.is_file():
            return facts + _unfinished(file, weights)
    except (ValueError, LookupError, TypeError, RecursionError, csv.Error) as error:
        raise ValueError(f"run: {file} is damaged: {error!r}") from error
    return [*facts, "training was cut off and has left no figures"]


def _finished(file: pathlib.Path, weights: str) -> list[str]:
    summary = json.loads(file.read_text(encoding="utf-8"))
    key, split = SCORES_IN_SUMMARY[weights]
    return [
        f"{summary[key]:.3f} bits/dim on {split} images",
        f"{summary['steps']:,} steps",
    ]


def _unfinished(file: pathlib.Path, weights: str) -> list[str]:
    with open(file, newline="", encoding="utf-8") as lines:
        history = list(csv.DictReader(lines))
    average = "average_" if weights == "average" else ""
    scores = [float(row[f"val_{average}bits_per_dim"]) for row in history]
    bits = min(scores) if weights == "best" else scores[-1]
    return [
        f"{bits:.3f} bits/dim on validation images",
        f"training not finished after epoch {len(history)}",
    ]
