"""`tfp-realnvp evaluate`."""

from __future__ import annotations

import argparse

from tfp_realnvp.files import write_json
from tfp_realnvp.training.run_directory import RunDirectory


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "evaluate",
        help="score a trained flow",
        description="Prints the bits/dim of a trained flow on the test images, with "
        "running statistics, and writes them to evaluation.json.",
    )
    parser.add_argument("directory", metavar="RUN", help="folder of the run")
    parser.add_argument("--data-dir", help="where the data are now, if elsewhere")
    parser.add_argument("--limit", type=int, help="only the first so many images")
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument(
        "--weights",
        choices=("last", "best", "average"),
        default="last",
        help="which: last, best (on the validation images), or their average",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Evaluates as the arguments say."""
    for name in ("limit", "batch_size"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ValueError(f"{name}: expected a positive int, got {value}.")
    directory = RunDirectory(arguments.directory)
    config = directory.load_config()
    data = config.load_data(arguments.data_dir)
    model = directory.load_model(arguments.weights)
    batches = data.test_batches(arguments.batch_size, limit=arguments.limit)
    result = model.evaluate(batches, return_dict=True)["bits_per_dim"]
    images = min(arguments.limit or data.test.count, data.test.count)
    write_json(
        directory.path / "evaluation.json",
        {
            "dataset": data.name,
            "images": images,
            "weights": arguments.weights,
            "test_bits_per_dim": result,
        },
    )
    print(f"{data.name}: {result:.3f} bits/dim on {images} test images.")
