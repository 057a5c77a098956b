"""`tfp-realnvp figures`."""

from __future__ import annotations

import argparse
import pathlib

from tfp_realnvp.cli.parser import SAMPLES
from tfp_realnvp.figures.catalog import Subject, write_figures
from tfp_realnvp.runs.run_directory import RunDirectory


def run(arguments: argparse.Namespace) -> None:
    """Draws figures as the arguments say."""
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
        count=min(SAMPLES, data.test.count) if count is None else count,
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
