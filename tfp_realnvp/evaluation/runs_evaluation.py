"""Trained runs of one configuration, scored together."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from tfp_realnvp.arguments import check_choice, check_path
from tfp_realnvp.choices import SPLITS
from tfp_realnvp.data import ImageData
from tfp_realnvp.evaluation.evaluation import check_importance_samples, summarize
from tfp_realnvp.evaluation.evaluation_table import markdown_table
from tfp_realnvp.evaluation.paper_table import paper_results
from tfp_realnvp.evaluation.split_scores import score_split
from tfp_realnvp.files import write_json
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory


class RunsEvaluation(NamedTuple):
    """What `evaluate_runs` has found.

    Attributes:
      values: What goes into a JSON file.
      table: The same as a table in Markdown, beside the paper's figures.
      unwritten: Why `evaluation.json` could not be written, one error for each run.
    """

    values: dict[str, Any]
    table: str
    unwritten: Sequence[OSError] = ()

    def check_written(self) -> None:
        """Raises `OSError` if a file could not be written."""
        for error in self.unwritten:
            raise error


def evaluate_runs(
    directories: Sequence[RunDirectory],
    *,
    split: Literal["train", "validation", "test"] = "test",
    draws: int = 3,
    importance_samples: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    batch_size: int = 100,
    weights: Literal["last", "best", "average"] = "last",
    data_dir: str | os.PathLike | None = None,
    data: ImageData | None = None,
) -> RunsEvaluation:
    """Scores runs that differ in their seed, and writes `evaluation.json` into each.

    Args:
      directories: Folders of the runs.
      split: Which images.
      draws: Python `int`, how often noise is added to each image.
      importance_samples: Number of draws in the bound of `summarize`, or `None`.
      seed: Python `int`, of the noise, which is the same for all runs.
      limit: Python `int`, only the first so many images; `None` is all of them.
      batch_size: Python `int`.
      weights: Which weights of the runs, see `RunDirectory.weights`.
      data_dir: Where the data are now; `None` is where they were.
      data: The data, if they have been loaded already.

    Returns:
      What was found on all runs together.

    Raises:
      FileNotFoundError: If a folder holds no run or not these weights, or the data are
        not there.
      FloatingPointError: If the density of an image is not finite.
      ValueError: If the runs differ in more than their seeds or not in these, or an
        argument is out of range.
    """
    check_choice("split", split, SPLITS)
    if importance_samples is not None:
        check_importance_samples(importance_samples, draws)
    if data_dir is not None:
        check_path("data_dir", data_dir)
    configs = [directory.load_config() for directory in directories]
    _check_alike(directories, configs)
    for directory in directories:
        directory.check_weights(weights)
    data = data or configs[0].load_data(data_dir)
    settings = {"split": split, "weights": weights, "noise_seed": seed}
    scores, unwritten = [], []
    for directory in directories:
        found = score_split(
            directory.load_model(weights),
            getattr(data, split),
            draws=draws,
            seed=seed,
            limit=limit,
            batch_size=batch_size,
        )
        scores.append(found)
        single = _report(data, [found], [directory], importance_samples, settings)
        try:
            write_json(directory.path / "evaluation.json", single.values)
        except OSError as error:
            # Scores take hours, and their caller has yet to see them.
            unwritten.append(error)
    all_of_them = _report(data, scores, directories, importance_samples, settings)
    return all_of_them._replace(unwritten=unwritten)


def _report(
    data: ImageData,
    scores: Sequence[np.ndarray],
    directories: Sequence[RunDirectory],
    importance_samples: int | None,
    settings: dict[str, Any],
) -> RunsEvaluation:
    split = settings["split"]
    evaluation = summarize(
        scores, data.event_shape, importance_samples=importance_samples
    )
    by_seed = {
        directory.load_config().seed: float(score.mean())
        for directory, score in zip(directories, scores, strict=True)
    }
    values = {
        "dataset": data.name,
        **settings,
        "images_in_split": getattr(data, split).count,
        "is_conditional": data.condition_names is not None,
        "training_seeds": list(by_seed),
        "bits_per_dim_by_seed": list(by_seed.values()),
        **dataclasses.asdict(evaluation),
        "paper": paper_results(data, split, evaluation.images)._asdict(),
    }
    of_seeds = ", ".join(f"{mean:.3f} of seed {seed}" for seed, mean in by_seed.items())
    remarks = [
        f"With {settings['weights']} weights: {of_seeds}.",
        *(
            f"Training of {directory.path} has not ended."
            for directory in directories
            if not directory.is_finished
        ),
    ]
    return RunsEvaluation(values, markdown_table(data, split, evaluation, remarks))


def _check_alike(
    directories: Sequence[RunDirectory], configs: Sequence[RunConfig]
) -> None:
    first = configs[0]
    for directory, config in zip(directories[1:], configs[1:], strict=True):
        differences = first.differences(config)
        differences.pop("seed", None)
        if differences:
            listed = ", ".join(
                f"{name} is {there!r} and {here!r}"
                for name, (there, here) in differences.items()
            )
            raise ValueError(
                "run: expected runs of one configuration that differ in their seed; in "
                f"{directories[0].path} and {directory.path} {listed}."
            )
    seeds = [config.seed for config in configs]
    twice = [seed for seed in seeds if seeds.count(seed) > 1]
    if twice:
        raise ValueError(
            f"run: expected runs of different seeds, got {len(twice)} of seed "
            f"{twice[0]}."
        )
