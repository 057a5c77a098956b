"""`tfp-realnvp sample`."""

from __future__ import annotations

import argparse
import math
import pathlib

from tfp_realnvp.figures import image_grid, sample_images, write_png
from tfp_realnvp.training.run_directory import RunDirectory


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "sample",
        help="draw images from a trained flow",
        description="Draws images from a trained flow and writes them as one PNG.",
    )
    parser.add_argument("directory", metavar="RUN", help="folder of the run")
    parser.add_argument("--count", type=int, default=64, help="number of images")
    parser.add_argument(
        "--temperature", type=float, default=1.0, help="factor on the latents"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="PNG to write; RUN/samples_drawn.png if not")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Samples as the arguments say."""
    directory = RunDirectory(arguments.directory)
    model = directory.load_model()
    images = sample_images(
        model.flow,
        arguments.count,
        seed=arguments.seed,
        temperature=arguments.temperature,
    )
    output = pathlib.Path(arguments.output or directory.path / "samples_drawn.png")
    columns = math.ceil(math.sqrt(arguments.count))
    scale = max(1, 32 // images.shape[1])
    write_png(output, image_grid(images, columns=columns, scale=scale))
    print(f"Wrote {arguments.count} images to {output}.")
