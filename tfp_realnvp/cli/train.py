"""`tfp-realnvp train`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import pathlib
import sys
import time
from typing import NamedTuple

import keras
import tensorflow as tf

from tfp_realnvp.arguments import require
from tfp_realnvp.data import ImageData, load_images
from tfp_realnvp.data.image_data import pipeline_images_per_second
from tfp_realnvp.evaluation import evaluate_runs
from tfp_realnvp.files import atomic_path, write_json
from tfp_realnvp.flows.presets import dataset_of, preset_for, resolve_preset
from tfp_realnvp.runs.callbacks import TensorBoard
from tfp_realnvp.runs.run import evaluate_run, write_report
from tfp_realnvp.runs.run import train as train_model
from tfp_realnvp.runs.run_config import RunConfig, recipe_of
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.runs.strategy import is_chief, make_strategy
from tfp_realnvp.training.cost import measure_cost


def train(arguments: argparse.Namespace) -> None:
    """Trains one run, or one for each seed."""
    # The report at the end needs this: better to fail now than then.
    require("matplotlib", "the learning curve", extra="demo")
    if arguments.tensorboard:
        require("tensorboard", "--tensorboard", extra="tensorboard")
    config = _config(arguments)
    directory = _locate(arguments, config.dataset)
    if not (arguments.resume or arguments.dry_run):
        directory.check_free(overwrite=arguments.overwrite)
    seeds = arguments.seeds or []
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds: expected distinct seeds, got {seeds}.")
    # TensorFlow must know of other workers before it does anything else.
    strategy = make_strategy(arguments.strategy)
    data = load_images(
        config.dataset,
        data_dir=config.data_dir,
        conditional=arguments.conditional,
        **config.image_options,
    )
    config = dataclasses.replace(
        config, images=data.fingerprint(), condition_names=data.condition_names
    )
    config.flow["event_shape"] = data.event_shape
    if arguments.conditional:
        config.flow["condition_size"] = data.condition_size
    data.steps_per_epoch(config.step_size)
    task = _Task(arguments, data, strategy)
    if arguments.dry_run:
        _dry_run(config, task)
    elif arguments.seeds is None:
        _train_run(directory, config, task)
    else:
        _train_seeds(directory, config, task)


def _config(arguments: argparse.Namespace) -> RunConfig:
    dataset = arguments.dataset or dataset_of(arguments.preset or "digits")
    preset = arguments.preset or preset_for(dataset)
    flow, recipe = resolve_preset(preset), recipe_of(preset)
    given = {k: value for k, value in vars(arguments).items() if value is not None}
    for name in {"num_scales", "filters", "num_blocks"} & set(given):
        flow[name] = given[name]
    if arguments.precision != "float32":
        flow["network_dtype"] = arguments.precision
    if arguments.memory != "stored":
        flow["memory"] = arguments.memory
    names = {field.name for field in dataclasses.fields(RunConfig)}
    values = {**recipe, **{name: given[name] for name in names & set(given)}}
    # 0 stands for no average, since without the option the preset decides.
    values["average_decay"] = values["average_decay"] or None
    return RunConfig(**{**values, "dataset": dataset, "flow": flow})


def _locate(arguments: argparse.Namespace, dataset: str) -> RunDirectory:
    """Returns the folder of a new run, or of the one to resume."""
    runs = pathlib.Path(arguments.runs)
    if arguments.name is not None:
        return RunDirectory(runs / arguments.name)
    stem = dataset.partition(":")[0]
    numbered = itertools.chain([stem], (f"{stem}-{i}" for i in itertools.count(2)))
    taken = list(itertools.takewhile(lambda name: (runs / name).exists(), numbered))
    if arguments.resume:
        return RunDirectory(runs / (taken[-1] if taken else stem))
    return RunDirectory(runs / (f"{stem}-{len(taken) + 1}" if taken else stem))


class _Task(NamedTuple):
    """What all runs of one command share."""

    arguments: argparse.Namespace
    data: ImageData
    strategy: tf.distribute.Strategy

    @property
    def is_chief(self) -> bool:
        return is_chief(self.strategy)


def _train_run(directory: RunDirectory, config: RunConfig, task: _Task) -> None:
    """Trains one run into its folder."""
    arguments, data, strategy = task
    model = config.build_model(strategy)
    with directory.lock() if task.is_chief else contextlib.nullcontext():
        _begin(directory, config, task)
        print(f"Training on {data.train.count} images of {data.name}: {directory.path}")
        print(f"Replicas: {strategy.num_replicas_in_sync}.", flush=True)
        callbacks: list[keras.callbacks.Callback] = []
        if arguments.tensorboard and task.is_chief:
            board = TensorBoard(
                directory.path / "tensorboard",
                images=data.validation.take(64),
                condition=data.validation.take_conditions(64),
                seed=config.seed,
            )
            callbacks.append(board)
        steps = arguments.checkpoint_steps
        progress = train_model(
            model, config, data, directory, checkpoint_steps=steps, callbacks=callbacks
        )
        summary = evaluate_run(model, data, config, progress)
        if task.is_chief:
            write_report(model, data, config, progress, summary, directory)


def _begin(directory: RunDirectory, config: RunConfig, task: _Task) -> None:
    """Makes the folder of a new run, or checks that the run in it can be resumed."""
    arguments = task.arguments
    if arguments.resume and directory.is_begun:
        before = directory.load_config()
        config.check_goes_on_from(before)
        if config.epochs > before.epochs and task.is_chief:
            print(
                f"{config.epochs} epochs instead of {before.epochs}: the learning rate "
                f"continues on a {config.schedule} schedule of {config.epochs} epochs."
            )
            directory.extend(config)
        return
    if arguments.resume:
        print(f"Nothing to resume in {directory.path}: a new run begins.")
    if task.is_chief:
        RunDirectory.create(directory.path, config, overwrite=arguments.overwrite)


def _train_seeds(directory: RunDirectory, config: RunConfig, task: _Task) -> None:
    """Trains one run after the other, one for each seed, and scores them together."""
    runs = {
        RunDirectory(directory.path / f"seed-{i}"): dataclasses.replace(config, seed=i)
        for i in task.arguments.seeds
    }
    begun = [run for run in runs if task.arguments.resume and run.is_begun]
    for run in begun:
        runs[run].check_goes_on_from(run.load_config())
    values, table = (directory.path / f"evaluation.{kind}" for kind in ("json", "md"))
    for path in (values, table):
        # Old results would not belong to the new runs.
        path.unlink(missing_ok=True)
    for run, its_config in runs.items():
        is_extended = run in begun and run.load_config().epochs < config.epochs
        if run in begun and run.is_finished and not is_extended:
            print(f"{run.path} is finished.", flush=True)
        else:
            _train_run(run, its_config, task)
    print("Evaluating all seeds on test images.", flush=True)
    found = evaluate_runs(list(runs), data=task.data)
    print(found.table, flush=True)
    write_json(values, found.values)
    with atomic_path(table) as temporary:
        temporary.write_text(f"{found.table}\n", encoding="utf-8")
    print(f"Wrote {values} and {table.name}.")


def _dry_run(config: RunConfig, task: _Task) -> None:
    """Prints the cost of training, and makes two steps of it."""
    _, data, strategy = task
    model = config.build_model(strategy)
    replicas = strategy.num_replicas_in_sync
    print(
        f"{data.name}: {data.train.count} training, {data.validation.count} "
        f"validation, {data.test.count} test images of {data.event_shape}; "
        f"{data.steps_per_epoch(config.step_size)} steps of {config.step_size} images "
        f"in an epoch; replicas: {replicas}.",
        flush=True,
    )
    print(measure_cost(model, -(-config.step_size // replicas)), flush=True)
    batches = data.training_batches(config.step_size, seed=config.seed)
    speed = pipeline_images_per_second(batches, config.step_size)
    print(f"Input pipeline alone: {speed:.0f} images/s.", flush=True)
    for name in ("One step, compilation included", "A second step"):
        begin = time.perf_counter()
        history = model.fit(batches, steps_per_epoch=1, verbose=0).history
        bits, seconds = history["bits_per_dim"][0], time.perf_counter() - begin
        print(f"{name}: {seconds:.1f} s, {bits:.3f} bits/dim.", flush=True)
    print(f"Peak memory: {_peak_bytes() / 2**30:.3g} GiB.", flush=True)
    print("No run was written.")


def _peak_bytes() -> int:
    """Returns TensorFlow's peak on the first GPU, or else that of this process."""
    if tf.config.list_logical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    import resource  # Windows does not have it.

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
