"""`tfp-realnvp evaluate`."""

from __future__ import annotations

import argparse
import json
import pathlib

from tfp_realnvp.arguments import check_int
from tfp_realnvp.cli.weights_option import add_weights_option
from tfp_realnvp.evaluation.runs_evaluation import SPLITS, evaluate_runs
from tfp_realnvp.files import check_output, write_json
from tfp_realnvp.runs.run_directory import RunDirectory

_DRAWS = 3


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "evaluate",
        help="score a trained flow",
        description="Prints the bits/dim of a trained flow on the test images beside "
        "the paper's, with running statistics, and writes them to RUN/evaluation.json. "
        "Several runs that differ in their seed are scored together.",
    )
    add = parser.add_argument
    add("directories", metavar="RUN", nargs="+", help="folders of the runs")
    add("--data-dir", help="where the data are now, if elsewhere")
    add(
        "--split",
        choices=SPLITS,
        default="test",
        help="which images",
    )
    add("--limit", type=int, help="only the first so many images")
    add(
        "--draws",
        type=int,
        help=f"how often each image is jittered: {_DRAWS}, or what "
        "--importance-samples says",
    )
    add(
        "--importance-samples",
        type=int,
        help="give a bound on the likelihood of the discrete images too, from so many "
        "draws of the jitter; it is tighter than the paper's figure, and another one",
    )
    add("--seed", type=int, default=0, help="of the jitter")
    add("--batch-size", type=int, default=100)
    add_weights_option(parser)
    add("--output", help="JSON file for what was found on all runs together")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Evaluates as the arguments say."""
    for name in ("limit", "draws", "importance_samples", "batch_size"):
        value = getattr(arguments, name)
        if value is not None:
            check_int(name, value)
    output = None if arguments.output is None else pathlib.Path(arguments.output)
    if output is not None:
        check_output(output)
    directories = [RunDirectory(path) for path in arguments.directories]
    found = evaluate_runs(
        directories,
        split=arguments.split,
        draws=arguments.draws or arguments.importance_samples or _DRAWS,
        importance_samples=arguments.importance_samples,
        seed=arguments.seed,
        limit=arguments.limit,
        batch_size=arguments.batch_size,
        weights=arguments.weights,
        data_dir=arguments.data_dir,
    )
    print(found.table)
    if output is not None:
        write_json(output, found.values)
    elif len(directories) > 1:
        print(json.dumps(found.values, indent=2))
