"""Trains a flow of this package, changed as the arm says."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import math
import time
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

import tfp_realnvp as nvp
from density.arms import Arm
from density.changes import CHANGES
from density.task import Task
from density.variational import VariationalModel
from tfp_realnvp.data import ImageData, ImageSplit, load_images
from tfp_realnvp.evaluation import score_split
from tfp_realnvp.flows.presets import resolve_preset
from tfp_realnvp.runs.callbacks import LearningRate, TimeLimit
from tfp_realnvp.runs.run_config import recipe_of

# Updates between two points of the curve.
EVERY = 50
PACKAGES = ("tensorflow", "tensorflow-probability", "keras")


def train(task: Task, arm: Arm) -> dict[str, Any]:
    """Returns what is to be known of the trained flow."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    data = load_images("cifar10", data_dir=task.data_dir)
    keras.utils.set_random_seed(task.seed)
    recipe = {**recipe_of(arm.preset), "batch_size": task.batch_size, **arm.recipe}
    with contextlib.ExitStack() as stack:
        for change in arm.changes:
            stack.enter_context(CHANGES[change]())
        options = {**resolve_preset(arm.preset), **arm.flow}
        options.update(filters=task.filters, num_blocks=task.num_blocks)
        model = nvp.FlowModel(nvp.image_flow(**options, seed=task.seed), seed=task.seed)
        model.compile(
            keras.optimizers.Adam(recipe["learning_rate"], global_clipnorm=100.0),
            average_decay=recipe["average_decay"],
        )
        if "act norm" in arm.changes:
            # Where each of them starts is said by the first batch it sees.
            model.flow.log_prob(data.train.take(256).astype("float32") + 0.5)
        progress = _fit(model, data, task, recipe)
    average = contextlib.nullcontext()
    if recipe["average_decay"] is not None:
        average = model.averaged_weights()
    with average:
        scores = {
            "validation": _score(model, data.validation, task.seed),
            "test": _score(model, data.test, task.seed, limit=task.images),
        }
        digest = hashlib.sha256()
        for weight in model.weights:
            digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return {
        **progress,
        "recipe": recipe,
        "flow": {**options, "event_shape": list(options["event_shape"])},
        "parameters": sum(math.prod(v.shape) for v in model.trainable_variables),
        **scores,
        "weights_sha256": digest.hexdigest(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _fit(
    model: nvp.FlowModel, data: ImageData, task: Task, recipe: Mapping[str, Any]
) -> dict[str, Any]:
    """Trains the model and returns what there is to know of it."""
    curve = Curve()
    limit = None if task.minutes is None else TimeLimit(task.minutes)
    # With a time limit, more updates than there is time for.
    updates = 10**7
    if task.updates is not None:
        # As many images, whatever the arm's batches are.
        updates = task.updates * task.batch_size // recipe["batch_size"]
    schedule = LearningRate(
        recipe["learning_rate"],
        updates,
        recipe["schedule"],
        warmup_steps=recipe["warmup_steps"],
        time_limit=limit,
    )
    begin = time.monotonic()
    model.fit(
        data.training_batches(recipe["batch_size"], seed=task.seed),
        steps_per_epoch=updates,
        callbacks=[*([] if limit is None else [limit]), schedule, curve],
        verbose=0,
    )
    return {
        "updates_made": model.step,
        "training_seconds": time.monotonic() - begin,
        "curve": curve.points,
    }


class Curve(keras.callbacks.Callback):
    """Keeps step, seconds and the mean training bits/dim of every 50 steps."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.points: list[list[float]] = []
        self._begin, self._sum = time.monotonic(), 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        # What Keras shows is the mean from the start on.
        step = self.model.step
        total = step * float(logs["bits_per_dim"])
        if step % EVERY == 0:
            seconds = time.monotonic() - self._begin
            mean = (total - self._sum) / EVERY
            self.points.append([step, round(seconds, 1), round(mean, 4)])
            self._sum = total
            print(f"step {step}, {seconds:.0f} s, {mean:.4f}", flush=True)


def _score(
    model: nvp.FlowModel, split: ImageSplit, seed: int, limit: int | None = None
) -> float:
    if isinstance(model, VariationalModel):
        batches = split.batches(100, limit=limit)
        return model.evaluate(batches, verbose=0, return_dict=True)["bits_per_dim"]
    return float(score_split(model, split, draws=1, seed=seed, limit=limit).mean())
