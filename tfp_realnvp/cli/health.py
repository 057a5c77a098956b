"""`tfp-realnvp health`."""

from __future__ import annotations

import argparse

from tfp_realnvp.arguments import check_int, check_seed
from tfp_realnvp.cli.weights_option import add_weights_option
from tfp_realnvp.evaluation.runs_evaluation import SPLITS
from tfp_realnvp.files import write_json
from tfp_realnvp.health.flow_health import flow_health
from tfp_realnvp.runs.run_directory import RunDirectory


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "health",
        help="say whether a trained flow can be trusted",
        description="Measures round trips, the log-determinant there and back, the gap "
        "between running and batch statistics, scales and channels of a trained flow, "
        "prints them with a verdict in words, and writes them to RUN/health.json. The "
        "exit status is 0 whatever the verdict.",
    )
    add = parser.add_argument
    add("directory", metavar="RUN", help="folder of the run")
    add("--data-dir", help="where the data are now, if elsewhere")
    add("--split", choices=SPLITS, default="test", help="which images")
    add("--limit", type=int, default=256, help="only the first so many images")
    add("--seed", type=int, default=0, help="of the jitter and of the samples")
    add(
        "--batch-size",
        type=int,
        help="images whose statistics are taken together; those of a step of training "
        "if not said",
    )
    add_weights_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Measures as the arguments say."""
    check_int("limit", arguments.limit)
    if arguments.batch_size is not None:
        check_int("batch_size", arguments.batch_size)
    check_seed("seed", arguments.seed)
    directory = RunDirectory(arguments.directory)
    config = directory.load_config()
    directory.check_weights(arguments.weights)
    data = config.load_data(arguments.data_dir)
    report = flow_health(
        directory.load_model(arguments.weights),
        getattr(data, arguments.split),
        limit=arguments.limit,
        batch_size=arguments.batch_size or config.step_size,
        seed=arguments.seed,
    )
    settings = {
        "dataset": data.name,
        "split": arguments.split,
        "weights": arguments.weights,
        "seed": arguments.seed,
    }
    write_json(directory.path / "health.json", {**settings, **report.to_dict()})
    print(report)
