"""Trained runs of one configuration, scored together, beside the paper's figures."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from tfp_realnvp.arguments import check_choice
from tfp_realnvp.choices import SPLITS
from tfp_realnvp.data import ImageData
from tfp_realnvp.evaluation.evaluation import (
    Evaluation,
    check_importance_samples,
    score_split,
    summarize,
)
from tfp_realnvp.evaluation.paper_table import paper_results
from tfp_realnvp.files import write_json
from tfp_realnvp.runs.run_directory import RunDirectory


class RunsEvaluation(NamedTuple):
    """What `evaluate_runs` has found.

    Attributes:
      values: What goes into a JSON file.
      table: The same as a table in Markdown, beside the paper's figures.
    """

    values: dict[str, Any]
    table: str


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
    _check_alike(directories)
    for directory in directories:
        directory.check_weights(weights)
    data = data or directories[0].load_config().load_data(data_dir)
    settings = {"split": split, "weights": weights, "noise_seed": seed}
    scores: list[np.ndarray] = []
    unwritten: OSError | None = None
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
            unwritten = unwritten or error
    report = _report(data, scores, directories, importance_samples, settings)
    if unwritten is not None:
        # Scores take hours, and their caller has yet to see them.
        print(report.table, flush=True)
        raise unwritten
    return report


def _check_alike(directories: Sequence[RunDirectory]) -> None:
    first, *others = (directory.load_config() for directory in directories)
    seeds = {first.seed}
    for directory, config in zip(directories[1:], others, strict=True):
        differences = first.differences(config)
        differences.pop("seed", None)
        if config.seed in seeds:
            raise ValueError(
                f"run: expected runs of different seeds, got several of {config.seed}."
            )
        for name, (there, here) in differences.items():
            raise ValueError(
                "run: expected runs of one configuration that differ in their seed; in "
                f"{directories[0].path} and {directory.path} {name} is {there!r} and "
                f"{here!r}."
            )
        seeds.add(config.seed)


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
    unfinished = [d.path for d in directories if not d.is_finished]
    remarks = [
        f"With {settings['weights']} weights: {of_seeds}.",
        *(f"Training of {path} has not ended." for path in unfinished),
    ]
    return RunsEvaluation(values, markdown_table(data, split, evaluation, remarks))


def markdown_table(
    data: ImageData, split: str, evaluation: Evaluation, remarks: Sequence[str] = ()
) -> str:
    """Returns a table of one row beside the paper's, and below what to know of it."""
    paper = paper_results(data, split, evaluation.images)
    over_images = evaluation.standard_error_over_images
    over_seeds = evaluation.standard_error_over_seeds
    below = [
        f"Bits/dim, mean over {evaluation.images} images (draws of the noise for each: "
        f"{evaluation.draws})."
    ]
    if over_images is not None:
        below.append("The first ± is the standard error over images.")
    if over_seeds is not None:
        below.append(f"The last ± is that over the {evaluation.flows} training seeds.")
    count = getattr(data, split).count
    if evaluation.images < count:
        below.append(f"These are only the first of {count} images.")
    if evaluation.importance_samples is not None:
        bound = _with_errors(
            evaluation.bound_bits_per_dim,
            evaluation.bound_standard_error_over_images,
            evaluation.bound_standard_error_over_seeds,
        )
        below.append(
            f"Importance-weighted bound with {evaluation.importance_samples} draws: "
            f"{bound}. It bounds the likelihood of the discrete images more tightly, "
            "and is not what the paper reports."
        )
    found = _with_errors(evaluation.bits_per_dim, over_images, over_seeds)
    lines = [
        "| data | Pixel RNN, paper | Real NVP, paper | Real NVP, here |",
        "| --- | --- | --- | --- |",
        f"| {paper.title} | {paper.pixel_rnn or '--'} | {paper.real_nvp or '--'} | "
        f"{found} |",
        "",
        *(f"- {line}" for line in [*below, paper.remark, *remarks]),
    ]
    return "\n".join(lines)


def _with_errors(*mean_and_errors: float | None) -> str:
    return " ± ".join(f"{v:.3f}" for v in mean_and_errors if v is not None)
