"""`tfp-realnvp train`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import pathlib

import keras
import tensorflow as tf

from tfp_realnvp.cli.dry_run import dry_run
from tfp_realnvp.cli.train_seeds import check_seeds, train_seeds
from tfp_realnvp.data import ImageData, load_images
from tfp_realnvp.flows.presets import dataset_of, preset_for, resolve_preset
from tfp_realnvp.optional import require
from tfp_realnvp.runs.recipes import recipe_of
from tfp_realnvp.runs.report import evaluate_run, write_report
from tfp_realnvp.runs.run import train
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.runs.strategy import is_chief, make_strategy
from tfp_realnvp.runs.tensorboard import TensorBoard

_COPIED = (
    "epochs",
    "seed",
    "data_dir",
    "image_size",
    "channels",
    "crop",
    "augment",
    "skip_damaged",
    "labels",
    "minutes",
    "accumulate",
    "jit_compile",
    "on_non_finite",
    "max_skipped_in_a_row",
)


def run(arguments: argparse.Namespace) -> None:
    """Trains as the arguments say."""
    # What the report needs at the end is missed now rather than then.
    require("matplotlib", "the learning curve", extra="demo")
    if arguments.tensorboard:
        require("tensorboard", "--tensorboard", extra="tensorboard")
    config = _config(arguments)
    directory = _locate(arguments, config.dataset)
    if arguments.resume and arguments.seeds is None and directory.of_seeds:
        raise ValueError(
            f"resume: expected --seeds to go on with {directory.path}, which holds a "
            "run for each seed; got none."
        )
    if not (arguments.resume or arguments.dry_run):
        directory.check_free(overwrite=arguments.overwrite)
    # TensorFlow must know of other workers before it does anything else.
    strategy = make_strategy(arguments.strategy)
    if arguments.seeds is not None:
        check_seeds(arguments.seeds, directory, strategy)
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
    if arguments.dry_run:
        dry_run(config.build_model(strategy), config, data)
    elif arguments.seeds is None:
        _train(directory, config, arguments, data, strategy)
    else:
        train_seeds(
            arguments.seeds,
            directory,
            config,
            data,
            lambda run, its_config: _train(run, its_config, arguments, data, strategy),
            resume=arguments.resume,
        )


def _train(
    directory: RunDirectory,
    config: RunConfig,
    arguments: argparse.Namespace,
    data: ImageData,
    strategy: tf.distribute.Strategy,
) -> None:
    """Trains one run into its folder."""
    model = config.build_model(strategy)
    with directory.lock() if is_chief(strategy) else contextlib.nullcontext():
        _begin(directory, arguments, config, strategy)
        print(f"Training on {data.train.count} images of {data.name}: {directory.path}")
        print(f"Replicas: {strategy.num_replicas_in_sync}.", flush=True)
        progress = train(
            model,
            config,
            data,
            directory,
            checkpoint_steps=arguments.checkpoint_steps,
            callbacks=_callbacks(arguments, config, data, directory, strategy),
        )
        summary = evaluate_run(model, data, config, progress)
        if is_chief(strategy):
            write_report(model, data, config, progress, summary, directory)


def _config(arguments: argparse.Namespace) -> RunConfig:
    dataset = arguments.dataset or dataset_of(arguments.preset or "digits")
    preset = arguments.preset or preset_for(dataset)
    flow, recipe = resolve_preset(preset), recipe_of(preset)
    for name in recipe:
        if getattr(arguments, name) is not None:
            recipe[name] = getattr(arguments, name)
    # None would be the recipe's own, so that 0 says that there is to be none.
    recipe["average_decay"] = recipe["average_decay"] or None
    for name in ("num_scales", "filters", "num_blocks"):
        if getattr(arguments, name) is not None:
            flow[name] = getattr(arguments, name)
    if arguments.precision != "float32":
        flow["network_dtype"] = arguments.precision
    if arguments.memory != "stored":
        flow["memory"] = arguments.memory
    copied = {name: getattr(arguments, name) for name in _COPIED}
    return RunConfig(dataset=dataset, flow=flow, **recipe, **copied)


def _locate(arguments: argparse.Namespace, dataset: str) -> RunDirectory:
    """Returns the folder of a new run, or of the one to go on with."""
    runs = pathlib.Path(arguments.runs)
    if arguments.name is not None:
        return RunDirectory(runs / arguments.name)
    stem = dataset.partition(":")[0]
    numbered = itertools.chain([stem], (f"{stem}-{i}" for i in itertools.count(2)))
    taken = list(itertools.takewhile(lambda name: (runs / name).exists(), numbered))
    if arguments.resume:
        return RunDirectory(runs / (taken[-1] if taken else stem))
    return RunDirectory(runs / (f"{stem}-{len(taken) + 1}" if taken else stem))


def _begin(
    directory: RunDirectory,
    arguments: argparse.Namespace,
    config: RunConfig,
    strategy: tf.distribute.Strategy,
) -> None:
    """Makes the folder of a new run, or checks that the run in it can go on."""
    if arguments.resume and directory.is_begun:
        before = directory.load_config()
        config.check_goes_on_from(before)
        if config.epochs > before.epochs and is_chief(strategy):
            print(
                f"{config.epochs} epochs for {before.epochs}: the learning rate's "
                f"{config.schedule} schedule goes on as one that ends after "
                f"{config.epochs}."
            )
            directory.extend(config)
        return
    if arguments.resume:
        print(f"Nothing to go on with in {directory.path}: a new run begins.")
    if is_chief(strategy):
        RunDirectory.create(directory.path, config, overwrite=arguments.overwrite)


def _callbacks(
    arguments: argparse.Namespace,
    config: RunConfig,
    data: ImageData,
    directory: RunDirectory,
    strategy: tf.distribute.Strategy,
) -> list[keras.callbacks.Callback]:
    if not (arguments.tensorboard and is_chief(strategy)):
        return []
    settings = {
        name: value
        for name, value in {**config.flow, **vars(config)}.items()
        if name != "flow"
    }
    return [
        TensorBoard(
            directory.path / "tensorboard",
            images=data.validation.take(64),
            condition=data.validation.take_conditions(64),
            seed=config.seed,
            settings=settings,
        )
    ]
