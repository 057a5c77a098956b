"""Scores of runs that differ in their seed, together, beside the paper's figures."""

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
from tfp_realnvp.files import write_json
from tfp_realnvp.runs.run_directory import RunDirectory


class PaperRow(NamedTuple):
    """The paper's results on a data set, in bits/dim."""

    title: str
    event_shape: tuple[int, int, int]
    # The split by the paper's name, and its number of images.
    split: str
    images: int
    real_nvp: str
    real_nvp_train: str | None
    pixel_rnn: str | None
    source: str


_V1 = "arXiv:1605.08803v1, Table 1"
_LATER = "the later version of arXiv:1605.08803"
_BOTH = f"{_LATER}; in v1: 4.01 (3.93)"
_32, _64, _VAL = (32, 32, 3), (64, 64, 3), "validation"

# The size of a split identifies it, since no other split has it.
# fmt: off
PAPER = {
    "cifar10": PaperRow("CIFAR-10", _32, "test", 10_000, "3.49", None, "3.00", _V1),
    "imagenet32": PaperRow(
        "ImageNet 32x32", _32, _VAL, 49_999, "4.28", "4.26", "3.86 (3.83)", _V1
    ),
    "imagenet64": PaperRow(
        "ImageNet 64x64", _64, _VAL, 49_999, "3.98", "3.75", "3.63 (3.57)", _BOTH
    ),
    "lsun_bedroom": PaperRow(
        "LSUN bedroom", _64, _VAL, 300, "2.72", "2.70", None, _LATER
    ),
    "lsun_tower": PaperRow("LSUN tower", _64, _VAL, 300, "2.81", "2.78", None, _LATER),
    "lsun_church_outdoor": PaperRow(
        "LSUN church outdoor", _64, _VAL, 300, "3.08", "2.94", None, _LATER
    ),
    "celeb_a": PaperRow("CelebA", _64, _VAL, 19_867, "3.02", "2.97", None, _LATER),
}
# fmt: on


class Comparison(NamedTuple):
    """The paper's results on the images of a split.

    Attributes:
      title: Python `str`, name of the images.
      real_nvp: Python `str`, bits/dim, those of training images in parentheses; `None`
        if the paper has no figure for exactly these images.
      pixel_rnn: The same for the Pixel RNN.
      remark: Python `str`, a sentence.
    """

    title: str
    real_nvp: str | None
    pixel_rnn: str | None
    remark: str


def paper_results(data: ImageData, split: str, images: int | None = None) -> Comparison:
    """Returns the paper's results on exactly these images.

    There are none for other images, even under the same name, and none for flows that
    are given classes or attributes.

    Args:
      data: The data set, with conditions if the flow takes them.
      split: Python `str`, `"train"`, `"validation"` or `"test"`.
      images: Python `int`, number of images that were scored; `None` is all.

    #### Example

    ```python
    >>> from tfp_realnvp.data import load_images
    >>> from tfp_realnvp.evaluation import paper_results
    >>> paper_results(load_images("digits"), "test").remark
    'The paper has no figure on digits.'

    ```
    """
    row = PAPER.get(data.name)
    is_conditional = data.condition_names is not None
    which = f"{split}, conditional" if is_conditional else split
    if row is None:
        remark = f"The paper has no figure on {data.name}."
        return Comparison(f"{data.name}, {which}", None, None, remark)
    counts = data.validation.count, data.test.count
    is_theirs = data.event_shape == row.event_shape and row.images in counts
    name = row.title if is_theirs else f"{data.name} (not the paper's images)"
    title = f"{name}, {which}"
    count = getattr(data, split).count
    if is_theirs and images in (None, count) and not is_conditional:
        train = row.real_nvp_train and f"({row.real_nvp_train})"
        if split == "train" and train:
            remark = f"The paper's figure, on training images, is from {row.source}."
            return Comparison(title, train, None, remark)
        if count == row.images:
            figure = f"{row.real_nvp} {train}" if train else row.real_nvp
            remark = (
                f"The paper's figures, on {row.split} images"
                f"{' (training images)' if train else ''}, are from {row.source}."
            )
            return Comparison(title, figure, row.pixel_rnn, remark)
    sides = " x ".join(map(str, row.event_shape))
    remark = (
        f"The paper's {row.real_nvp} is on all {row.images} {row.split} images of "
        f"{row.title}, {sides}, under a flow without conditions, and not on these."
    )
    return Comparison(title, None, None, remark)


class RunsEvaluation(NamedTuple):
    """The result of `evaluate_runs`.

    Attributes:
      values: All numbers, ready for a JSON file.
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
      draws: Python `int`, draws of the noise for each image.
      importance_samples: Number of draws in the bound of `summarize`, or `None`.
      seed: Python `int`, of the noise, which is the same for all runs.
      limit: Python `int`, only the first `limit` images; `None` is all of them.
      batch_size: Python `int`.
      weights: Which weights of the runs, see `RunDirectory.weights`.
      data_dir: Where the data are now; `None` is where they were.
      data: The data, if they have been loaded already.

    Returns:
      The results of all runs together.

    Raises:
      FileNotFoundError: If a run, its weights or its data are missing.
      FloatingPointError: If the density of an image is not finite.
      ValueError: If the runs differ in more than their seeds or have the same seed, or
        an argument is out of range.
    """
    check_choice("split", split, SPLITS)
    if importance_samples is not None:
        check_importance_samples(importance_samples, draws)
    _check_alike(directories)
    for directory in directories:
        directory.check_weights(weights)
    data = data or directories[0].load_config().load_data(data_dir)

    def report(scores: dict[RunDirectory, np.ndarray]) -> RunsEvaluation:
        of_all = summarize(
            [*scores.values()], data.event_shape, importance_samples=importance_samples
        )
        by_seed = {d.load_config().seed: float(s.mean()) for d, s in scores.items()}
        values = {
            "dataset": data.name,
            "split": split,
            "weights": weights,
            "noise_seed": seed,
            "images_in_split": getattr(data, split).count,
            "is_conditional": data.condition_names is not None,
            "training_seeds": list(by_seed),
            "bits_per_dim_by_seed": list(by_seed.values()),
            **dataclasses.asdict(of_all),
            "paper": paper_results(data, split, of_all.images)._asdict(),
        }
        means = ", ".join(f"{mean:.3f} for seed {s}" for s, mean in by_seed.items())
        remarks = [f"With {weights} weights: {means}."]
        unfinished = (d.path for d in scores if not d.is_finished)
        remarks += [f"Training of {path} has not ended." for path in unfinished]
        return RunsEvaluation(values, markdown_table(data, split, of_all, remarks))

    scores: dict[RunDirectory, np.ndarray] = {}
    unwritten: OSError | None = None
    for directory in directories:
        scores[directory] = score_split(
            directory.load_model(weights),
            getattr(data, split),
            draws=draws,
            seed=seed,
            limit=limit,
            batch_size=batch_size,
        )
        values = report({directory: scores[directory]}).values
        try:
            write_json(directory.path / "evaluation.json", values)
        except OSError as error:
            unwritten = unwritten or error
    found = report(scores)
    if unwritten is not None:
        # Scores can take hours: print them before the error.
        print(found.table, flush=True)
        raise unwritten
    return found


def _check_alike(directories: Sequence[RunDirectory]) -> None:
    first, *others = (directory.load_config() for directory in directories)
    seeds = {first.seed}
    for directory, config in zip(directories[1:], others, strict=True):
        if config.seed in seeds:
            raise ValueError(
                f"run: expected runs of different seeds, got two of {config.seed}."
            )
        seeds.add(config.seed)
        differences = first.differences(config)
        differences.pop("seed", None)
        for name, (there, here) in differences.items():
            raise ValueError(
                f"run: expected runs that differ only in their seed; {name} is "
                f"{there!r} in {directories[0].path} and {here!r} in {directory.path}."
            )


def markdown_table(
    data: ImageData, split: str, evaluation: Evaluation, remarks: Sequence[str] = ()
) -> str:
    """Returns a table of one row, beside the paper's figures, with remarks below."""
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
    figures = f"{paper.pixel_rnn or '--'} | {paper.real_nvp or '--'}"
    lines = [
        "| data | Pixel RNN, paper | Real NVP, paper | Real NVP, here |",
        "| --- | --- | --- | --- |",
        f"| {paper.title} | {figures} | {found} |",
        "",
        *(f"- {line}" for line in [*below, paper.remark, *remarks]),
    ]
    return "\n".join(lines)


def _with_errors(*mean_and_errors: float | None) -> str:
    return " ± ".join(f"{v:.3f}" for v in mean_and_errors if v is not None)
