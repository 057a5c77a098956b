"""`tfp-realnvp sample`."""

from __future__ import annotations

import argparse
import math
import pathlib
from typing import cast

import numpy as np

from tfp_realnvp.arguments import check_int
from tfp_realnvp.cli.weights_option import add_weights_option
from tfp_realnvp.figures import image_grid, sample_images, write_png
from tfp_realnvp.figures.grid import enlargement
from tfp_realnvp.figures.latents import check_draws
from tfp_realnvp.files import check_output
from tfp_realnvp.machine import check_fits
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "sample",
        help="draw images from a trained flow",
        description="Draws images from a trained flow and writes them as one PNG.",
    )
    parser.add_argument("directory", metavar="RUN", help="folder of the run")
    add_weights_option(parser)
    parser.add_argument("--count", type=int, default=64, help="number of images")
    parser.add_argument(
        "--temperature", type=float, default=1.0, help="factor on the latents"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--condition",
        nargs="+",
        metavar="LABEL",
        help="of a conditional run: name or number of a class, or of those attributes "
        "that the images shall have, or NAME=NUMBER; if not, the conditions of test "
        "images",
    )
    parser.add_argument("--data-dir", help="where the data are now, if elsewhere")
    parser.add_argument("--output", help="PNG to write; RUN/samples_drawn.png if not")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Samples as the arguments say."""
    check_int("count", arguments.count)
    check_draws(arguments.seed, arguments.temperature)
    directory = RunDirectory(arguments.directory)
    output = pathlib.Path(arguments.output or directory.path / "samples_drawn.png")
    check_output(output)
    config = directory.load_config()
    directory.check_weights(arguments.weights)
    check_fits("count", arguments.count, 64 * arguments.count, "images")
    condition = _condition(arguments, config)
    model = directory.load_model(arguments.weights)
    images = sample_images(
        model.flow,
        arguments.count,
        seed=arguments.seed,
        temperature=arguments.temperature,
        condition=condition,
    )
    columns = math.ceil(math.sqrt(arguments.count))
    scale = enlargement(images, least=32)
    write_png(output, image_grid(images, columns=columns, scale=scale))
    print(f"Wrote {arguments.count} images to {output}.")


def _condition(arguments: argparse.Namespace, config: RunConfig) -> np.ndarray | None:
    """Returns a condition for each image, or `None` for an unconditional run."""
    if not config.is_conditional:
        if arguments.condition:
            raise ValueError(
                "condition: expected none, for the run was trained without "
                f"--conditional; got {' '.join(arguments.condition)}."
            )
        return None
    data = config.load_data(arguments.data_dir)
    # `load_data` gives a conditional run images with conditions.
    known = cast(np.ndarray, data.test.conditions)
    names = cast(tuple[str, ...], data.condition_names)
    if not arguments.condition:
        return known[np.arange(arguments.count) % len(known)]
    if known.ndim == 1 and len(arguments.condition) > 1:
        raise ValueError(
            f"condition: expected one class, got {' '.join(arguments.condition)}."
        )
    if known.ndim == 1:
        return np.full([arguments.count], _number(arguments.condition[0], names))
    wanted = np.zeros([arguments.count, len(names)], known.dtype)
    for text in arguments.condition:
        name, _, value = text.partition("=")
        wanted[:, _number(name, names)] = _value(value or "1")
    return wanted


def _value(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(
            f"condition: expected NAME=NUMBER, got a number of {text!r}."
        ) from error


def _number(name: str, names: tuple[str, ...]) -> int:
    if name in names:
        return names.index(name)
    if name.isdecimal() and int(name) < len(names):
        return int(name)
    raise ValueError(
        f"condition: expected one of {', '.join(names)}, or a number below "
        f"{len(names)}; got {name!r}."
    )
