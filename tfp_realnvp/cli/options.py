"""The commands, described, and their options, checked without TensorFlow."""

from __future__ import annotations

import argparse
import contextlib
import math
import pathlib
from collections.abc import Callable
from typing import Any

from tfp_realnvp import choices

# What `evaluate` and `figures` do unless told otherwise.
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
# A shell leaves `folder:` of a variable that is not set.
DATA_SET = _checked(
    str,
    lambda v: v in choices.DATA_SETS or (v.startswith("folder:") and v[7:].strip()),
    f"{', '.join(choices.DATA_SETS)} or folder:PATH",
)


def train(parser: argparse.ArgumentParser) -> None:
    """Train a flow on images.

    Trains a flow and writes config, checkpoints, weights, pictures and a summary into a
    folder of its own. Without arguments: on scikit-learn's digits, in about two minutes
    on two CPU cores.
    """
    add = parser.add_argument_group("data").add_argument
    add(
        "--dataset",
        type=DATA_SET,
        help=f"{', '.join(choices.DATA_SETS)}, or folder:PATH (of images, or a .zip or "
        ".tar of them); by default the preset's own, or digits",
    )
    add("--data-dir", type=PATH, help="folder of prepared data, or where PATH is now")
    add("--image-size", type=COUNT, help="side of the images, where one can choose")
    add("--conditional", action="store_true", help="condition on classes or attributes")
    add("--augment", choices=choices.AUGMENT, help="mirror training images at random")
    add = parser.add_argument_group("folder:PATH").add_argument
    add("--channels", type=int, choices=(1, 3), help="1 if not said and all are grey")
    squares = "the central square, another one in every epoch, or all of it, scaled"
    add("--crop", choices=choices.CROPS, default="center", help=squares)
    add("--skip-damaged", action="store_true", help="go on without damaged images")
    add("--labels", type=PATH, help="CSV file of classes (file,label) or of numbers")

    add = parser.add_argument_group("flow").add_argument
    sizes = f"sizes of the flow: {', '.join(choices.PRESETS)}; by default the data's"
    add("--preset", choices=choices.PRESETS, metavar="PRESET", help=sizes)
    add("--num-scales", type=COUNT, help="override the preset's number of scales")
    add("--filters", type=COUNT, help="override the preset's feature maps")
    add("--num-blocks", type=COUNT, help="override the preset's residual blocks")
    precisions = ("float32", "mixed_bfloat16")
    add("--precision", choices=precisions, default="float32", help="of the networks")
    recompute = "recompute finds activations again: less memory, more time"
    add("--memory", choices=choices.MEMORY, default="stored", help=recompute)

    group = parser.add_argument_group("training")
    add = group.add_argument
    of_preset = "by default the preset's"
    add("--batch-size", type=COUNT, help=f"images in an update; {of_preset}")
    add("--accumulate", type=COUNT, default=1, help="parts to process each batch in")
    add("--epochs", type=COUNT, default=20, help="passes through the data")
    add("--minutes", type=POSITIVE, help="end training after so many minutes")
    add("--learning-rate", type=POSITIVE, help=f"the highest; {of_preset}")
    add("--schedule", choices=choices.SCHEDULES, help=f"of that rate; {of_preset}")
    add("--warmup-steps", type=NATURAL, help=f"in which it first rises; {of_preset}")
    either = group.add_mutually_exclusive_group().add_argument
    either("--seed", type=SEED, default=0, help="the same seed gives the same run")
    either("--seeds", type=SEED, nargs="+", help="train a run with each of these seeds")
    add("--average-decay", type=DECAY, help=f"of averaged weights, or 0; {of_preset}")
    ways = choices.ON_NON_FINITE
    add("--on-non-finite", choices=ways, default="stop", help="if a step gives NaN")
    add("--max-skipped-in-a-row", type=COUNT, default=10, help="give up after so many")
    strategies = choices.STRATEGIES
    add("--strategy", choices=strategies, default="auto", help="tf.distribute's")
    add("--jit-compile", action="store_true", help="let XLA compile the steps")

    add = parser.add_argument_group("run").add_argument
    add("--runs", type=PATH, default="runs", help="folder of all runs")
    add("--name", type=RUN_NAME, help="folder in RUNS; by default a new one")
    either = parser.add_mutually_exclusive_group().add_argument
    either("--overwrite", action="store_true", help="write over the run of that name")
    either("--resume", action="store_true", help="go on with it, or with the latest")
    add("--checkpoint-steps", type=COUNT, default=500, help="steps between checkpoints")
    add("--tensorboard", action="store_true", help="write for TensorBoard too")
    add("--dry-run", action="store_true", help="only say what it would cost")


def evaluate(parser: argparse.ArgumentParser) -> None:
    """Score a trained flow.

    Prints the bits/dim of a trained flow beside the paper's, with running statistics,
    and writes them to RUN/evaluation.json. Several runs that differ in their seed are
    scored together.
    """
    add = _of_runs(parser, several=True)
    add("--split", choices=choices.SPLITS, default="test", help="which images")
    add("--limit", type=COUNT, help="only the first so many images")
    add("--draws", type=COUNT, help=f"of noise for each image; {DRAWS} if not said")
    add(
        "--importance-samples",
        type=COUNT,
        help="give a bound on the likelihood of the discrete images too, from so many "
        "draws of the noise; it is tighter than the paper's figure, and another one",
    )
    add("--seed", type=SEED, default=0, help="of the noise")
    add("--batch-size", type=COUNT, default=100)
    add("--output", type=PATH, help="JSON file for what was found on all runs")


def score(parser: argparse.ArgumentParser) -> None:
    """Find the strange ones among new images.

    Scores image files by a trained flow, and says how typical each score is among
    images of the run's own kind. Writes a CSV file (Parquet too, if pyarrow is there),
    and a picture and a web page of the strangest and the most ordinary.
    """
    add = _of_runs(parser)
    several = {"type": PATH, "metavar": "PATH", "nargs": "+"}
    kinds = "folders, archives, images, .txt lists of them, patterns"
    add("paths", help=kinds, **several)
    add("--normal", default=[], help="images of its kind, for the ROC-AUC", **several)
    add("--output", type=PATH, default="scores", help="folder to write to")
    add("--skip-damaged", action="store_true", help="go on without damaged images")
    add("--draws", type=COUNT, default=DRAWS, help="of noise for each image")
    add("--seed", type=SEED, default=0, help="of the noise")
    add("--batch-size", type=COUNT, default=100)


def health(parser: argparse.ArgumentParser) -> None:
    """Say whether a trained flow can be trusted.

    Measures round trips, log-determinants, statistics, scales and channels of a trained
    flow, prints them with a verdict in words, and writes them to RUN/health.json. The
    exit status is 0 whatever the verdict.
    """
    add = _of_runs(parser)
    add("--split", choices=choices.SPLITS, default="test", help="which images")
    add("--limit", type=COUNT, default=256, help="only the first so many images")
    add("--seed", type=SEED, default=0, help="of the noise and of the samples")
    add("--batch-size", type=COUNT, help="by default that of a step of training")


def sample(parser: argparse.ArgumentParser) -> None:
    """Draw images from a trained flow, as one PNG."""
    add = _of_runs(parser, draws=True)
    add("--count", type=COUNT, default=64, help="number of images")
    add(
        "--condition",
        nargs="+",
        metavar="LABEL",
        help="name or number of a class, or of those attributes that the images shall "
        "have, or NAME=NUMBER; if not said, the conditions of test images",
    )
    add("--output", type=PATH, help="PNG to write; RUN/samples_drawn.png if not")


def figures(parser: argparse.ArgumentParser) -> None:
    """Draw the paper's figures of a trained flow.

    Draws what the paper shows of a flow, with a number beside each picture, into PNG
    files and figures.json.
    """
    add = _of_runs(parser, draws=True)
    names = {"choices": choices.FIGURES, "metavar": "FIGURE", "nargs": "+"}
    add("--only", help=f"of {', '.join(choices.FIGURES)}", **names)
    add("--output", type=PATH, help="folder to write to; RUN/figures if not")
    add("--count", type=COUNT, help=f"number of samples; {SAMPLES} if not")
    add("--factors", type=COUNT, nargs="+", default=[2, 10], help="of extrapolation")
    judge = "of attribute_change's judge"
    add("--classifier-epochs", type=COUNT, default=4, help=judge)


def gallery(parser: argparse.ArgumentParser) -> None:
    """Show trained flows on a web page.

    Writes one HTML file, which needs no network, with pictures of each run.
    """
    add = _of_runs(parser, several=True, draws=True)
    add("--output", type=PATH, default="gallery.html", help="HTML file to write")


def export(parser: argparse.ArgumentParser) -> None:
    """Write a trained flow for servers.

    Writes a trained flow as a SavedModel, which TensorFlow loads without this package.
    Each export is a new version, OUTPUT/1, OUTPUT/2, and so on, as TensorFlow Serving
    expects.
    """
    add = _of_runs(parser, data=False)
    add("--output", type=PATH, help="folder of versions; RUN/saved_model if not")


def _of_runs(
    parser: argparse.ArgumentParser,
    *,
    several: bool = False,
    data: bool = True,
    draws: bool = False,
) -> Callable[..., argparse.Action]:
    """Adds what the commands on trained runs share; returns what adds the rest."""
    add = parser.add_argument
    if several:
        add("directories", type=PATH, metavar="RUN", nargs="+", help="folders of runs")
    else:
        add("directory", type=PATH, metavar="RUN", help="folder of the run")
    which = "last, best (on the validation images), or the moving average"
    add("--weights", choices=choices.WEIGHTS, default="last", help=which)
    if data:
        add("--data-dir", type=PATH, help="where the data are now, if elsewhere")
    if draws:
        add("--seed", type=SEED, default=0, help="of the latents")
        add("--temperature", type=TEMPERATURE, default=1.0, help="factor on latents")
    return add


COMMANDS = (train, evaluate, score, health, sample, figures, gallery, export)
