"""The training step that `fit` uses, as a function of a batch and a seed."""

import contextlib
import math
from typing import NamedTuple

import tensorflow as tf

from tfp_realnvp.runs.callbacks import FALL

STEP_RESULTS = ("loss", "bits_per_dim", "gradient_norm", "is_finite", "learning_rate")
EVALUATION_RESULTS = ("bits_per_dim",)
# So that noise and mirroring are drawn apart.
_FOR_NOISE, _FOR_FLIPS = 1, 2


class Plan(NamedTuple):
    """Highest rate and length of the schedule, decided where the speed is known."""

    learning_rate: tf.Variable
    steps: tf.Variable

    @classmethod
    def of(cls, *values):
        return cls(*(tf.Variable(v, dtype=tf.float64, trainable=False) for v in values))


def learning_rate_at(step, plan, schedule, warmup_steps):
    """Returns what `LearningRate` sets before step number `step`, in `float64`."""
    step = tf.cast(step, tf.float64)
    progress = tf.minimum(step / plan.steps, 1)
    rate = plan.learning_rate * tf.minimum((step + 1) / max(1, warmup_steps), 1)
    if schedule == "cosine":
        return rate * 0.5 * (1 + tf.cos(math.pi * progress))
    if schedule == "trapezoid":
        return rate * tf.minimum((1 - progress) / FALL, 1)
    return rate


def make_step(model, plan, config, *, flips):
    """Returns a function that trains the model on a batch.

    It takes `uint8` images and `int32` (seed, number of the step), which alone decide
    noise and mirroring, and returns `STEP_RESULTS`, scalars of this batch; loss and
    bits_per_dim are 0 for a batch that was refused.
    """

    def step(image, seed):
        rate = learning_rate_at(seed[1], plan, config.schedule, config.warmup_steps)
        model.optimizer.learning_rate = tf.cast(rate, tf.float32)
        noise, _ = model.noise_states
        noise.assign(noise_seed(seed))
        if flips:
            image = mirrored(image, seed)
        # What they show is a mean since the last reset.
        for metric in model.metrics:
            metric.reset_state()
        logs = model.train_step(image)
        report = logs.pop("report")
        found = {
            # Of no batch that counts the mean is NaN.
            **{k: tf.where(report["is_finite"], v, 0.0) for k, v in logs.items()},
            **report,
            "is_finite": tf.cast(report["is_finite"], tf.float32),
            "learning_rate": tf.cast(rate, tf.float32),
        }
        return tuple(found[name] for name in STEP_RESULTS)

    return step


def make_evaluation(model, *, of_average):
    """Returns a function of images and (seed, number): bits/dim of each image.

    By running statistics, and by the average of the weights if it is `of_average`.
    """

    def evaluate(image, seed):
        _, noise = model.noise_states
        noise.assign(noise_seed(seed))
        # `averaged_weights` asks for the number of updates, which a graph has not.
        average = model.average.swapped_in() if of_average else contextlib.nullcontext()
        with average:
            log_prob, _ = model.log_prob_parts(image, training=False)
        return model.to_units(log_prob)

    return evaluate


def average_of(model):
    """Returns the variables of a model's average; the first counts updates."""
    return [] if model.average is None else model.average.variables


def extra_variables(model, plan):
    """Returns what the steps use besides the model's and the optimizer's variables."""
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    return [*metrics, *plan, *average_of(model)]


def names_of(model, plan, variables):
    """Returns the names of all variables that the GPU machine has to know.

    Those of weights and average are in the order of `model.weights`.
    """
    names = {id(variable): name for name, variable in variables.items()}
    return {
        "learning_rate": names[id(plan.learning_rate)],
        "steps": names[id(plan.steps)],
        "weights": [names[id(weight.value)] for weight in model.weights],
        "average": [names[id(variable)] for variable in average_of(model)[1:]],
    }


def mirrored(image, seed):
    """Returns the images of a step, half of them mirrored."""
    shape = [image.shape[0], 1, 1, 1]
    drawn = tf.random.stateless_uniform(shape, _derived(seed, _FOR_FLIPS))
    return tf.where(drawn < 0.5, tf.reverse(image, axis=[2]), image)


def noise_seed(seed):
    """Returns the seed of the noise of a step or an evaluation."""
    return tf.cast(_derived(seed, _FOR_NOISE), tf.int64)


def _derived(seed, purpose):
    return tf.random.experimental.stateless_fold_in(seed, purpose)
