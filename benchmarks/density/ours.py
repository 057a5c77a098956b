"""Trains a flow of this package, with the arm's changes."""

import contextlib
import hashlib
import math
import time

import keras
import tensorflow as tf
from harness.machine import version_of

import tfp_realnvp as nvp
from density.arms import ARMS
from density.changes import CHANGES
from tfp_realnvp.data import load_images
from tfp_realnvp.evaluation import score_split
from tfp_realnvp.runs import LearningRate, recipe_of
from tfp_realnvp.runs.callbacks import TimeLimit

# Updates between two points of the curve.
EVERY = 50
PACKAGES = ("tensorflow", "tensorflow-probability", "keras")


def train(task):
    """Returns the log of the trained flow."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    arm, seed = ARMS[task["arm"]], task["seed"]
    data = load_images("cifar10", data_dir=task["data_dir"])
    keras.utils.set_random_seed(seed)
    recipe = {**recipe_of(arm.preset), "batch_size": task["batch_size"], **arm.recipe}
    flow = {**nvp.PRESETS[arm.preset], **arm.flow}
    flow.update(filters=task["filters"], num_blocks=task["num_blocks"])
    with contextlib.ExitStack() as stack:
        for change in arm.changes:
            stack.enter_context(CHANGES[change]())
        model = nvp.FlowModel(nvp.image_flow(**flow, seed=seed), seed=seed)
        model.compile(
            keras.optimizers.Adam(recipe["learning_rate"], global_clipnorm=100.0),
            average_decay=recipe["average_decay"],
        )
        progress = _fit(model, data, task, recipe)
        if recipe["average_decay"] is not None:
            stack.enter_context(model.averaged_weights())
        splits = {"validation": (data.validation, None)}
        splits["test"] = data.test, task["images"]
        scores = {
            name: float(
                score_split(model, split, draws=1, seed=seed, limit=limit).mean()
            )
            for name, (split, limit) in splits.items()
        }
        digest = hashlib.sha256()
        for weight in model.weights:
            digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return {
        **progress,
        "recipe": recipe,
        "flow": {**flow, "event_shape": list(flow["event_shape"])},
        "parameters": sum(math.prod(v.shape) for v in model.trainable_variables),
        **scores,
        "weights_sha256": digest.hexdigest(),
        "packages": {name: version_of(name) for name in PACKAGES},
    }


def _fit(model, data, task, recipe):
    """Trains the model and returns its log."""
    limits = [] if task["minutes"] is None else [TimeLimit(task["minutes"])]
    # With a time limit, plan more updates than the time allows.
    updates = 10**7
    if task["updates"] is not None:
        # The number of images is the same for arms with other batches.
        updates = task["updates"] * task["batch_size"] // recipe["batch_size"]
    schedule = LearningRate(
        recipe["learning_rate"],
        updates,
        recipe["schedule"],
        warmup_steps=recipe["warmup_steps"],
        time_limit=limits[0] if limits else None,
    )
    curve, begin = Curve(), time.monotonic()
    model.fit(
        data.training_batches(recipe["batch_size"], seed=task["seed"]),
        steps_per_epoch=updates,
        callbacks=[*limits, schedule, curve],
        verbose=0,
    )
    return {
        "updates_made": model.step,
        "training_seconds": time.monotonic() - begin,
        "curve": curve.points,
    }


class Curve(keras.callbacks.Callback):
    """Keeps step, seconds and the mean training bits/dim of every 50 steps."""

    def on_train_begin(self, logs=None):
        self.points = []
        self._begin, self._sum = time.monotonic(), 0.0

    def on_train_batch_end(self, batch, logs=None):
        step = self.model.step
        # Keras reports the mean since the start.
        total = step * float(logs["bits_per_dim"])
        if step % EVERY == 0:
            seconds = time.monotonic() - self._begin
            mean = (total - self._sum) / EVERY
            self.points.append([step, round(seconds, 1), round(mean, 4)])
            self._sum = total
            print(f"step {step}, {seconds:.0f} s, {mean:.4f}", flush=True)
