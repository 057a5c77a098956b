"""The commands and their options; TensorFlow is not imported to read them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn

from tfp_realnvp.choices import FIGURES, SPLITS, WEIGHTS
from tfp_realnvp.cli import train_options
from tfp_realnvp.cli.option_types import path, positive_int, seed, temperature

# What `evaluate` and `figures` do unless told otherwise.
DRAWS, SAMPLES = 3, 64


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # The usage of `train` alone fills a screen.
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line, with one subparser for each command."""
    parser = _Parser(
        prog="tfp-realnvp",
        description="Real NVP for TensorFlow Probability: train and evaluate flows "
        "over images, draw samples and the paper's figures, export for servers.",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(
        name: str,
        options: Callable[[argparse.ArgumentParser], None],
        *,
        help: str,
        description: str,
    ) -> None:
        added = commands.add_parser(name, help=help, description=description)
        options(added)
        added.add_argument(
            "--verbose",
            action="store_true",
            help="show what TensorFlow prints as it starts",
        )

    command(
        "train",
        train_options.add_options,
        help="train a flow on images",
        description="Trains a flow and writes config, checkpoints, weights, pictures "
        "and a summary into a folder of its own. Without arguments: on scikit-learn's "
        "digits, in about two minutes on two CPU cores.",
    )
    command(
        "evaluate",
        _evaluate,
        help="score a trained flow",
        description="Prints the bits/dim of a trained flow on the test images beside "
        "the paper's, with running statistics, and writes them to RUN/evaluation.json. "
        "Several runs that differ in their seed are scored together.",
    )
    command(
        "score",
        _score,
        help="find the strange ones among new images",
        description="Scores image files by a trained flow: log-density, bits/dim, and "
        "how typical that is among images of the run's own kind. Writes a CSV file "
        "(Parquet too, if pyarrow is there), and a picture and a web page of the "
        "strangest and the most ordinary.",
    )
    command(
        "health",
        _health,
        help="say whether a trained flow can be trusted",
        description="Measures round trips, the log-determinant there and back, the gap "
        "between running and batch statistics, scales and channels of a trained flow, "
        "prints them with a verdict in words, and writes them to RUN/health.json. The "
        "exit status is 0 whatever the verdict.",
    )
    command(
        "sample",
        _sample,
        help="draw images from a trained flow",
        description="Draws images from a trained flow and writes them as one PNG.",
    )
    command(
        "figures",
        _figures,
        help="draw the paper's figures of a trained flow",
        description="Draws what the paper shows of a flow, with a number beside each "
        "picture, into PNG files and figures.json: samples, the manifold between "
        "images and an animation of it, interpolation, conceptual compression, "
        "extrapolation to larger images, attribute change.",
    )
    command(
        "gallery",
        _gallery,
        help="show trained flows on a web page",
        description="Writes one HTML file with a row for each run: test images, "
        "samples of the size trained on, of twice and ten times that size, images "
        "that are forgotten step by step, and an animated manifold between images. "
        "The file needs no network.",
    )
    command(
        "export",
        _export,
        help="write a trained flow for servers",
        description="Writes a trained flow as a SavedModel, which TensorFlow loads "
        "without this package: it scores, samples, encodes and decodes. Each export is "
        "a new version, OUTPUT/1, OUTPUT/2, and so on, as TensorFlow Serving expects.",
    )
    return parser


def _evaluate(parser: argparse.ArgumentParser) -> None:
    _runs(parser)
    _of_data(parser)
    add = parser.add_argument
    add("--split", choices=SPLITS, default="test", help="which images")
    add("--limit", type=positive_int, help="only the first so many images")
    add(
        "--draws",
        type=positive_int,
        help=f"how often noise is added to each image: {DRAWS}, or what "
        "--importance-samples says",
    )
    add(
        "--importance-samples",
        type=positive_int,
        help="give a bound on the likelihood of the discrete images too, from so many "
        "draws of the noise; it is tighter than the paper's figure, and another one",
    )
    add("--seed", type=seed, default=0, help="of the noise")
    add("--batch-size", type=positive_int, default=100)
    add("--output", type=path, help="JSON file for what was found on all runs together")


def _score(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    add = parser.add_argument
    add(
        "paths",
        type=path,
        metavar="PATH",
        nargs="+",
        help="folder or archive of images, an image, a .txt file that lists images, or "
        "a pattern",
    )
    _of_data(parser)
    add(
        "--normal",
        type=path,
        metavar="PATH",
        nargs="+",
        default=[],
        help="images that are known to be of the run's kind: gives the ROC-AUC of "
        "telling those in PATH from them",
    )
    add("--output", type=path, default="scores", help="folder to write to")
    add(
        "--skip-damaged",
        action="store_true",
        help="go on without images that cannot be read; they are named in the table",
    )
    add(
        "--draws",
        type=positive_int,
        default=DRAWS,
        help="how often noise is added to each image",
    )
    add("--seed", type=seed, default=0, help="of the noise")
    add("--batch-size", type=positive_int, default=100)


def _health(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _of_data(parser)
    add = parser.add_argument
    add("--split", choices=SPLITS, default="test", help="which images")
    add("--limit", type=positive_int, default=256, help="only the first so many images")
    add("--seed", type=seed, default=0, help="of the noise and of the samples")
    add(
        "--batch-size",
        type=positive_int,
        help="images whose statistics are taken together; those of a step of training "
        "if not said",
    )


def _sample(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _of_data(parser)
    _of_draws(parser)
    add = parser.add_argument
    add("--count", type=positive_int, default=64, help="number of images")
    add(
        "--condition",
        nargs="+",
        metavar="LABEL",
        help="of a conditional run: name or number of a class, or of those attributes "
        "that the images shall have, or NAME=NUMBER; if not, the conditions of test "
        "images",
    )
    add("--output", type=path, help="PNG to write; RUN/samples_drawn.png if not")


def _figures(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _of_data(parser)
    _of_draws(parser)
    add = parser.add_argument
    add(
        "--only",
        nargs="+",
        choices=FIGURES,
        metavar="FIGURE",
        help=f"which; all by default: {', '.join(FIGURES)}",
    )
    add("--output", type=path, help="folder to write to; RUN/figures if not")
    add("--count", type=positive_int, help=f"number of samples; {SAMPLES} if not")
    add(
        "--factors",
        type=positive_int,
        nargs="+",
        default=[2, 10],
        help="how many times larger than the data samples are drawn; 2 10 if not",
    )
    add(
        "--classifier-epochs",
        type=positive_int,
        default=4,
        help="of the classifier that judges changed attributes; 4 if not",
    )


def _gallery(parser: argparse.ArgumentParser) -> None:
    _runs(parser)
    _of_data(parser)
    _of_draws(parser)
    parser.add_argument(
        "--output", type=path, default="gallery.html", help="HTML file to write"
    )


def _export(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _weights(parser)
    parser.add_argument(
        "--output", type=path, help="folder of all versions; RUN/saved_model if not"
    )


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=path, metavar="RUN", help="folder of the run")


def _runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directories", type=path, metavar="RUN", nargs="+", help="folders of the runs"
    )


def _weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        choices=WEIGHTS,
        default="last",
        help="which: last, best (on the validation images), or the moving average",
    )


def _of_data(parser: argparse.ArgumentParser) -> None:
    _weights(parser)
    parser.add_argument(
        "--data-dir", type=path, help="where the data are now, if elsewhere"
    )


def _of_draws(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=seed, default=0, help="of the latents")
    parser.add_argument(
        "--temperature",
        type=temperature,
        default=1.0,
        help="factor on the latents",
    )
