"""`tfp-realnvp health`."""

from __future__ import annotations

import argparse

from tfp_realnvp.files import write_json
from tfp_realnvp.health.flow_health import flow_health
from tfp_realnvp.runs.run_directory import RunDirectory


def run(arguments: argparse.Namespace) -> None:
    """Measures as the arguments say."""
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
    print(report, flush=True)
    write_json(directory.path / "health.json", {**settings, **report.to_dict()})
