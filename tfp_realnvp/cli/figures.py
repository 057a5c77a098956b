"""`tfp-realnvp figures`."""

from __future__ import annotations

import argparse
import pathlib

from tfp_realnvp.cli.weights_option import add_weights_option
from tfp_realnvp.figures.catalog import CATALOG, Subject, write_figures
from tfp_realnvp.figures.catalog.write import check_names
from tfp_realnvp.runs.run_directory import RunDirectory

_COUNT = 64


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "figures",
        help="draw the paper's figures of a trained flow",
        description="Draws what the paper shows of a flow, with a number beside each "
        "picture, into PNG files and figures.json: samples, the manifold between "
        "images and an animation of it, interpolation, conceptual compression, "
        "extrapolation to larger images, attribute change.",
    )
    add = parser.add_argument
    add("directory", metavar="RUN", help="folder of the run")
    add(
        "--only",
        nargs="+",
        metavar="FIGURE",
        help=f"which; all by default: {', '.join(CATALOG)}",
    )
    add("--output", help="folder to write to; RUN/figures if not")
    add("--count", type=int, help=f"number of samples; {_COUNT} if not")
    add("--seed", type=int, default=0)
    add("--temperature", type=float, default=1.0, help="factor on the samples' latents")
    add(
        "--factors",
        type=int,
        nargs="+",
        default=[2, 10],
        help="how many times larger than the data samples are drawn; 2 10 if not",
    )
    add("--data-dir", help="where the data are now, if elsewhere")
    add_weights_option(parser)
    add(
        "--classifier-epochs",
        type=int,
        default=4,
        help="of the classifier that judges changed attributes; 4 if not",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Draws figures as the arguments say."""
    check_names(arguments.only)
    directory = RunDirectory(arguments.directory)
    config = directory.load_config()
    directory.check_weights(arguments.weights)
    output = pathlib.Path(arguments.output or directory.path / "figures")
    if output.exists() and not output.is_dir():
        raise ValueError(f"output: expected a folder, but {output} is a file.")
    data = config.load_data(arguments.data_dir)
    count = arguments.count
    subject = Subject(
        directory.load_model(arguments.weights).flow,
        data,
        count=min(_COUNT, data.test.count) if count is None else count,
        seed=arguments.seed,
        temperature=arguments.temperature,
        factors=tuple(arguments.factors),
        classifier_epochs=arguments.classifier_epochs,
    )
    write_figures(
        subject,
        output,
        only=arguments.only,
        made_with={"dataset": data.name, "weights": arguments.weights},
    )
