"""`tfp-realnvp sample`."""

from __future__ import annotations

import argparse
import math
import pathlib
from typing import cast

import numpy as np

from tfp_realnvp.figures import image_grid, sample_images, write_png
from tfp_realnvp.figures.grid import enlargement
from tfp_realnvp.files import check_output
from tfp_realnvp.machine import check_fits
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory


def run(arguments: argparse.Namespace) -> None:
    """Samples as the arguments say."""
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
