"""`tfp-realnvp train --seeds`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfp_realnvp.data import ImageData
from tfp_realnvp.evaluation.runs_evaluation import evaluate_runs
from tfp_realnvp.files import atomic_path, write_json
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory


def check_seeds(
    seeds: Sequence[int], directory: RunDirectory, strategy: tf.distribute.Strategy
) -> None:
    """Checks that runs with these seeds can be trained into one folder.

    Args:
      seeds: Python `int`s.
      directory: The folder of their folders.
      strategy: What they are to be trained under.

    Raises:
      ValueError: If they cannot.
    """
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds: expected different ones, got {list(seeds)}.")
    if directory.is_begun:
        raise ValueError(
            f"seeds: expected a folder for a run of each seed, got {directory.path}, "
            "which is that of a single run. Choose another --name."
        )
    if strategy.cluster_resolver is not None:
        raise ValueError(
            "seeds: expected --seed on several workers, one run after the other; got "
            f"{list(seeds)}. `tfp-realnvp evaluate` then scores them together."
        )


def train_seeds(
    seeds: Sequence[int],
    directory: RunDirectory,
    config: RunConfig,
    data: ImageData,
    train: Callable[[RunDirectory, RunConfig], None],
    *,
    resume: bool,
) -> None:
    """Trains a run with each seed, one after the other, and scores them together.

    Args:
      seeds: Python `int`s.
      directory: The folder of their folders, which gets `evaluation.json` and
        `evaluation.md`.
      config: What the runs are made from, but for the seed.
      data: The images.
      train: Function that trains a run into its folder.
      resume: Python `bool`, whether runs that have come to their end are kept.

    Raises:
      ValueError: If a finished run was made from something else.
    """
    runs = {
        RunDirectory(directory.path / f"seed-{seed}"): dataclasses.replace(
            config, seed=seed
        )
        for seed in seeds
    }
    begun = [run for run in runs if resume and run.is_begun]
    for run in begun:
        runs[run].check_goes_on_from(run.load_config())
    results = directory.path / "evaluation.json", directory.path / "evaluation.md"
    for path in results:
        # They would not be those of the runs beside them.
        path.unlink(missing_ok=True)
    for run, its_config in runs.items():
        is_extended = run in begun and run.load_config().epochs < config.epochs
        if run in begun and run.is_finished and not is_extended:
            print(f"{run.path} is finished.", flush=True)
        else:
            train(run, its_config)
    print("Evaluating all seeds on test images.", flush=True)
    found = evaluate_runs(list(runs), data=data)
    print(found.table, flush=True)
    found.check_written()
    write_json(results[0], found.values)
    with atomic_path(results[1]) as temporary:
        temporary.write_text(f"{found.table}\n", encoding="utf-8")
    print(f"Wrote {results[0]} and {results[1].name}.")
