"""A training run from its configuration to its last step."""

from __future__ import annotations

import re
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.data import ImageData
from tfp_realnvp.runs.callbacks import (
    EvaluateAverage,
    Report,
    Throughput,
    TimeLimit,
)
from tfp_realnvp.runs.checkpoint import Progress, load_checkpoint
from tfp_realnvp.runs.keeper import Keeper
from tfp_realnvp.runs.learning_rate import LearningRate
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.runs.strategy import is_chief
from tfp_realnvp.training.flow_model import FlowModel

_VALIDATION_IMAGES = 1000


def train(
    model: FlowModel,
    config: RunConfig,
    data: ImageData,
    directory: RunDirectory,
    *,
    checkpoint_steps: int = 500,
    callbacks: list[keras.callbacks.Callback] | None = None,
    verbose: bool = True,
) -> Progress:
    """Trains a model, going on from the folder's checkpoint if there is one.

    Going on gives the weights that training in one piece would have given, on CPUs
    bit for bit, unless `config.minutes` is set.

    Args:
      model: What `config.build_model` returned.
      config: What the run is made from.
      data: The images.
      directory: The run's folder, where checkpoints, weights and history are kept.
      checkpoint_steps: Python `int`, steps between checkpoints.
      callbacks: More Keras callbacks.
      verbose: Python `bool`, whether to print how far it is.

    Returns:
      How far it has come.

    Raises:
      ConnectionError: If another worker is gone.
      FloatingPointError: If loss or gradient are not finite; a checkpoint with the
        last good weights has been written.
      ValueError: If an argument is bad or a checkpoint does not fit.
    """
    strategy = model.distribute_strategy
    steps = data.steps_per_epoch(config.step_size)
    total = config.epochs * steps
    # The chief may still be making the folder.
    _gathered(strategy, 0)
    progress = Progress(data=data.fingerprint())
    if directory.checkpoint.exists():
        progress = load_checkpoint(directory.checkpoint, model)
        if progress.data != data.fingerprint():
            raise ValueError(
                f"resume: expected the images of the checkpoint, {progress.data}; got "
                f"{data.fingerprint()}."
            )
        print(f"Going on after step {progress.step} of {total}.")
    if len(set(_gathered(strategy, progress.step))) > 1:
        raise ValueError(
            "resume: expected the same checkpoint on all workers, for which the run's "
            f"folder must be shared by them; this one is at step {progress.step}."
        )
    limit = None
    if config.minutes is not None:
        limit = TimeLimit(config.minutes, progress.seconds)
    validation = data.validation_batches(config.step_size, limit=_VALIDATION_IMAGES)
    keeper = Keeper(
        directory if is_chief(strategy) else None, progress, checkpoint_steps
    )
    throughput = Throughput(config.step_size)
    every = [
        # The others ask the limit, so it must begin first.
        *([] if limit is None else [limit]),
        LearningRate(
            config.learning_rate,
            total,
            config.schedule,
            warmup_steps=config.warmup_steps,
            time_limit=limit,
        ),
        throughput,
        *([] if config.average_decay is None else [EvaluateAverage(validation)]),
        *(callbacks or []),
        *([Report(steps, config.epochs, throughput, limit)] if verbose else []),
        # Last: what the others do at the end of an epoch is not done again after it.
        keeper,
    ]
    is_over = limit is not None and progress.seconds >= 60 * limit.minutes
    try:
        while progress.step < total and not is_over:
            epoch, done = divmod(progress.step, steps)
            model.fit(
                _training_batches(data, config, progress.step, strategy),
                steps_per_epoch=steps - done,
                initial_epoch=epoch,
                # The rest of an epoch is shorter than those that follow.
                epochs=epoch + 1 if done else config.epochs,
                validation_data=validation,
                callbacks=every,
                verbose=0,
                shuffle=False,
            )
            is_over = model.stop_training
    except FloatingPointError:
        keeper.save()
        raise
    except tf.errors.OpError as error:
        reason = re.search(r"Collective ops is aborted by: (.*)", error.message)
        if strategy.cluster_resolver is None or reason is None:
            raise
        raise ConnectionError(
            f"strategy: another worker is gone or out of reach ({reason[1].strip()}). "
            f"The last checkpoint is that of step {progress.step}; start all workers "
            "again to go on from it (tfp-realnvp train: with --resume)."
        ) from error
    return progress


def _gathered(strategy: tf.distribute.Strategy, value: int) -> list[int]:
    """Waits for all workers, and returns what each of them gives."""
    if strategy.cluster_resolver is None:
        return [value]
    return strategy.gather(tf.constant([value], tf.int64), axis=0).numpy().tolist()


def _training_batches(
    data: ImageData, config: RunConfig, step: int, strategy: tf.distribute.Strategy
) -> Any:
    """Returns batches from number `step` on, each worker's own part on several."""
    if strategy.cluster_resolver is None:
        return data.training_batches(
            config.step_size, seed=config.seed, first_step=step
        )
    replicas = strategy.num_replicas_in_sync

    def parts(context: tf.distribute.InputContext) -> tf.data.Dataset:
        count = replicas // context.num_input_pipelines
        own = [
            data.training_batches(
                config.step_size,
                seed=config.seed,
                first_step=step,
                worker=context.input_pipeline_id * count + i,
                num_workers=replicas,
            )
            for i in range(count)
        ]
        if count == 1:
            return own[0]
        turns = tf.data.Dataset.range(count).repeat()
        return tf.data.Dataset.choose_from_datasets(own, turns)

    return strategy.distribute_datasets_from_function(parts)
