"""The commands and their options, described and checked without TensorFlow."""

from __future__ import annotations

import argparse
import contextlib
import math
import pathlib
from collections.abc import Callable
from typing import Any

from tfp_realnvp import choices

# Defaults of `evaluate` and `figures`.
DRAWS, SAMPLES = 3, 64


def _checked(
    kind: Callable[[str], Any], fits: Callable[[Any], Any], expected: str
) -> Callable[[str], Any]:
    def read(value: str) -> Any:
        with contextlib.suppress(ValueError):
            if fits(kind(value)):
                return kind(value)
        raise argparse.ArgumentTypeError(f"expected {expected}, got {value!r}")

    return read


def _is_inside(value: str) -> bool:
    path = pathlib.PurePath(value)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


COUNT = _checked(int, lambda v: 1 <= v < 2**63, "a positive int")
NATURAL = _checked(int, lambda v: 0 <= v < 2**63, "a non-negative int")
SEED = _checked(int, lambda v: 0 <= v < 2**32, f"an int from 0 to {2**32 - 1}")
POSITIVE = _checked(float, lambda v: 0 < v < math.inf, "a positive number")
TEMPERATURE = _checked(float, lambda v: 0 <= v < math.inf, "0 or more, and finite")
DECAY = _checked(float, lambda v: 0 <= v < 1, "a number from 0 to below 1")
PATH = _checked(str, lambda v: v.strip() and "\0" not in v, "a path")
RUN_NAME = _checked(str, _is_inside, "the name of a folder in RUNS")
# A shell leaves `folder:` if the variable for PATH is not set.
DATA_SET = _checked(
    str,
    lambda v: v in choices.DATA_SETS or (v.startswith("folder:") and v[7:].strip()),
    f"{', '.join(choices.DATA_SETS)} or folder:PATH",
)


def train(parser: argparse.ArgumentParser) -> None:
    """Train a flow on images.

    Trains a flow and writes its configuration, checkpoints, weights, pictures and a
    summary into a folder of its own. Without options it trains on scikit-learn's
    digits, in about two minutes on two CPU cores.
    """
    add = parser.add_argument_group("data").add_argument
    add(
        "--dataset",
        type=DATA_SET,
        help=f"{', '.join(choices.DATA_SETS)}, or folder:PATH (a folder, .zip or .tar "
        "of images); by default that of the preset, or digits",
    )
    add("--data-dir", type=PATH, help="folder of prepared data, or where PATH is now")
    add("--image-size", type=COUNT, help="side of the images, for data of any size")
    add("--conditional", action="store_true", help="condition on classes or attributes")
    add("--augment", choices=choices.AUGMENT, help="mirror training images at random")
    add = parser.add_argument_group("your own images").add_argument
    add("--channels", type=int, choices=(1, 3), help="by default 1 if all are grey")
    squares = "the central square, a new one in every epoch, or all of it, scaled"
    add("--crop", choices=choices.CROPS, default="center", help=squares)
    add("--skip-damaged", action="store_true", help="leave out damaged images")
    add("--labels", type=PATH, help="CSV file of classes (file,label) or of numbers")

    add = parser.add_argument_group("flow").add_argument
    sizes = f"flow and recipe: {', '.join(choices.PRESETS)}; by default the data set's"
    add("--preset", choices=choices.PRESETS, metavar="PRESET", help=sizes)
    add("--num-scales", type=COUNT, help="override the preset's number of scales")
    add("--filters", type=COUNT, help="override the preset's feature maps")
    add("--num-blocks", type=COUNT, help="override the preset's residual blocks")
    precisions = ("float32", "mixed_bfloat16")
    add("--precision", choices=precisions, default="float32", help="network precision")
    recompute = "recompute repeats the forward pass: less memory, more time"
    add("--memory", choices=choices.MEMORY, default="stored", help=recompute)

    group = parser.add_argument_group("training")
    add = group.add_argument
    of_preset = "by default the preset's"
    add("--batch-size", type=COUNT, help=f"images per update; {of_preset}")
    add("--accumulate", type=COUNT, default=1, help="parts to process each batch in")
    add("--epochs", type=COUNT, default=20, help="passes through the training images")
    add("--minutes", type=POSITIVE, help="stop training after this many minutes")
    add("--learning-rate", type=POSITIVE, help=f"peak learning rate; {of_preset}")
    rate = f"of the learning rate; {of_preset}"
    add("--schedule", choices=choices.SCHEDULES, help=rate)
    add("--warmup-steps", type=NATURAL, help=f"steps to the peak rate; {of_preset}")
    either = group.add_mutually_exclusive_group().add_argument
    either("--seed", type=SEED, default=0, help="the same seed gives the same run")
    either("--seeds", type=SEED, nargs="+", help="train one run with each seed")
    decay = f"of the moving average of weights, 0 for none; {of_preset}"
    add("--average-decay", type=DECAY, help=decay)
    what, ways = "what to do if a step gives NaN", choices.ON_NON_FINITE
    add("--on-non-finite", choices=ways, default="stop", help=what)
    skips = "stop after this many skipped steps"
    add("--max-skipped-in-a-row", type=COUNT, default=10, help=skips)
    strategy = "how to use several devices, by tf.distribute"
    add("--strategy", choices=choices.STRATEGIES, default="auto", help=strategy)
    add("--jit-compile", action="store_true", help="compile training steps with XLA")

    add = parser.add_argument_group("run").add_argument
    add("--runs", type=PATH, default="runs", help="folder of all runs")
    add("--name", type=RUN_NAME, help="folder in RUNS; by default a new one")
    either = parser.add_mutually_exclusive_group().add_argument
    either("--overwrite", action="store_true", help="replace the run of that name")
    either("--resume", action="store_true", help="resume that run, or the latest one")
    add("--checkpoint-steps", type=COUNT, default=500, help="steps between checkpoints")
    add("--tensorboard", action="store_true", help="also write logs for TensorBoard")
    add("--dry-run", action="store_true", help="print what it costs; write no run")


def evaluate(parser: argparse.ArgumentParser) -> None:
    """Score a trained flow.

    Prints the bits/dim of a trained flow, with running statistics, beside those of the
    paper, and writes them to RUN/evaluation.json. Several runs that differ only in
    their seed are scored together.
    """
    add = _of_runs(parser, several=True)
    add("--split", choices=choices.SPLITS, default="test", help="which images")
    add("--limit", type=COUNT, help="only the first LIMIT images")
    add("--draws", type=COUNT, help=f"draws of noise per image; by default {DRAWS}")
    bound = "add a tighter bound, from this many draws, which the paper does not report"
    add("--importance-samples", type=COUNT, help=bound)
    add("--seed", type=SEED, default=0, help="seed of the noise")
    add("--batch-size", type=COUNT, default=100, help="for memory and speed alone")
    add("--output", type=PATH, help="JSON file for the scores of all runs together")


def score(parser: argparse.ArgumentParser) -> None:
    """Find strange images among new ones.

    Scores image files under a trained flow, and says how typical each score is among
    those of the run's own validation images. Writes a CSV file (and Parquet if pyarrow
    is installed), and a picture and a web page of the strangest and the most ordinary.
    """
    add = _of_runs(parser)
    several = {"type": PATH, "metavar": "PATH", "nargs": "+"}
    kinds = "folders, archives, images, .txt lists of them, or glob patterns"
    add("paths", help=kinds, **several)
    add("--normal", default=[], help="known normal images, for the ROC-AUC", **several)
    add("--output", type=PATH, default="scores", help="folder to write to")
    add("--skip-damaged", action="store_true", help="leave out damaged images")
    add("--draws", type=COUNT, default=DRAWS, help="draws of noise per image")
    add("--seed", type=SEED, default=0, help="seed of the noise")
    add("--batch-size", type=COUNT, default=100, help="for memory and speed alone")


def health(parser: argparse.ArgumentParser) -> None:
    """Check whether a trained flow can be trusted.

    Measures the round trips, log-determinants, batch statistics, log-scales and dead
    channels of a trained flow, prints them with a verdict in words, and writes them to
    RUN/health.json. The exit status is 0 whatever the verdict.
    """
    add = _of_runs(parser)
    add("--split", choices=choices.SPLITS, default="test", help="which images")
    add("--limit", type=COUNT, default=256, help="only the first LIMIT images")
    add("--seed", type=SEED, default=0, help="seed of noise and samples")
    add("--batch-size", type=COUNT, help="by default that of a training step")


def sample(parser: argparse.ArgumentParser) -> None:
    """Draw images from a trained flow, as one PNG."""
    add = _of_runs(parser, draws=True)
    add("--count", type=COUNT, default=64, help="number of images")
    add(
        "--condition",
        nargs="+",
        metavar="LABEL",
        help="name or number of a class, names or numbers of attributes to turn on, or "
        "NAME=NUMBER; by default the conditions of test images",
    )
    add("--output", type=PATH, help="PNG to write; by default RUN/samples_drawn.png")


def figures(parser: argparse.ArgumentParser) -> None:
    """Draw the paper's figures for a trained flow.

    Writes the paper's figures as PNG files, and figures.json with a description and
    numbers for each.
    """
    add = _of_runs(parser, draws=True)
    names = {"choices": choices.FIGURES, "metavar": "FIGURE", "nargs": "+"}
    add("--only", help=f"some of {', '.join(choices.FIGURES)}", **names)
    add("--output", type=PATH, help="folder to write to; by default RUN/figures")
    add("--count", type=COUNT, help=f"number of samples; by default {SAMPLES}")
    factors = "how many times larger the extrapolated samples are"
    add("--factors", type=COUNT, nargs="+", default=[2, 10], help=factors)
    judge = "to train the classifier that judges attribute_change"
    add("--classifier-epochs", type=COUNT, default=4, help=judge)


def gallery(parser: argparse.ArgumentParser) -> None:
    """Show trained flows on a web page.

    Writes one HTML file with pictures of each run, which needs no network.
    """
    add = _of_runs(parser, several=True, draws=True)
    add("--output", type=PATH, default="gallery.html", help="HTML file to write")


def export(parser: argparse.ArgumentParser) -> None:
    """Export a trained flow for servers.

    Writes a trained flow as a SavedModel, which TensorFlow loads without this package.
    Each export is a new version, OUTPUT/1, OUTPUT/2, and so on, as TensorFlow Serving
    expects.
    """
    add = _of_runs(parser, data=False)
    add("--output", type=PATH, help="folder of versions; by default RUN/saved_model")


def _of_runs(
    parser: argparse.ArgumentParser,
    *,
    several: bool = False,
    data: bool = True,
    draws: bool = False,
) -> Callable[..., argparse.Action]:
    """Adds the options that commands on runs share; returns what adds the others."""
    add = parser.add_argument
    if several:
        add("directories", type=PATH, metavar="RUN", nargs="+", help="folders of runs")
    else:
        add("directory", type=PATH, metavar="RUN", help="folder of the run")
    which = "the last, the best on validation images, or the moving average"
    add("--weights", choices=choices.WEIGHTS, default="last", help=which)
    if data:
        add("--data-dir", type=PATH, help="where the data are now, if they have moved")
    if draws:
        add("--seed", type=SEED, default=0, help="seed of the latents")
        add("--temperature", type=TEMPERATURE, default=1.0, help="factor on latents")
    return add


COMMANDS = (train, evaluate, score, health, sample, figures, gallery, export)
