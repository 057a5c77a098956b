"""`tfp-realnvp evaluate`."""

from __future__ import annotations

import argparse
import json
import pathlib

from tfp_realnvp.cli.parser import DRAWS
from tfp_realnvp.evaluation.runs_evaluation import evaluate_runs
from tfp_realnvp.files import check_output, write_json
from tfp_realnvp.runs.run_directory import RunDirectory


def run(arguments: argparse.Namespace) -> None:
    """Evaluates as the arguments say."""
    output = None if arguments.output is None else pathlib.Path(arguments.output)
    if output is not None:
        check_output(output)
    directories = [RunDirectory(path) for path in arguments.directories]
    found = evaluate_runs(
        directories,
        split=arguments.split,
        draws=arguments.draws or arguments.importance_samples or DRAWS,
        importance_samples=arguments.importance_samples,
        seed=arguments.seed,
        limit=arguments.limit,
        batch_size=arguments.batch_size,
        weights=arguments.weights,
        data_dir=arguments.data_dir,
    )
    print(found.table, flush=True)
    if output is not None:
        write_json(output, found.values)
    elif len(directories) > 1:
        print(json.dumps(found.values, indent=2))
    found.check_written()
