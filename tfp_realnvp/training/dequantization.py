"""Pixels as real numbers: dequantization noise, and checks of values in graphs."""

from __future__ import annotations

import contextlib
import contextvars
import itertools
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfp_realnvp.nets.parts import global_batch

# Both are each thread's own, so that evaluations side by side do not mix.
_COUNT: contextvars.ContextVar[Iterator[int] | None] = contextvars.ContextVar(
    "count", default=None
)
_NUMBER: contextvars.ContextVar[Any] = contextvars.ContextVar("number", default=0)


def dequantized(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns images plus uniform noise in [0, 1) (Section 4.1).

    The noise of an example depends on its place in the global batch, and not on the
    replica that has it.

    Args:
      images: Floating `Tensor` of shape [N, height, width, channels].
      seed: Integer `Tensor` of shape [2], the same on all replicas.
    """
    batch = global_batch(tf.shape(images)[0])
    shape = tf.concat([[batch.size], tf.shape(images)[1:]], axis=0)
    noise = tf.random.stateless_uniform(shape, seed, dtype=images.dtype)
    return images + noise[batch.start : batch.start + tf.shape(images)[0]]


@contextlib.contextmanager
def counted_batches() -> Iterator[None]:
    """Lets `next_number` count from 0 inside, for the calling thread alone."""
    token = _COUNT.set(itertools.count())
    try:
        yield
    finally:
        _COUNT.reset(token)


def next_number() -> int:
    """Returns the number of the next batch, outside of `counted_batches` 0."""
    count = _COUNT.get()
    return 0 if count is None else next(count)


@contextlib.contextmanager
def numbered(number: Any) -> Iterator[None]:
    """Lets `batch_number` return `number`, an integer scalar, inside."""
    token = _NUMBER.set(number)
    try:
        yield
    finally:
        _NUMBER.reset(token)


def batch_number() -> Any:
    """Returns the number of the batch at hand among those of an evaluation."""
    return _NUMBER.get()


def checked_pixels(x: tf.Tensor, name: str) -> tf.Tensor:
    """Returns `x`, with a check that its values are pixels when it is evaluated.

    For batches of a `tf.data.Dataset`, into which nothing looks beforehand.

    Args:
      x: `Tensor` of any shape.
      name: Python `str`, what to call `x` in an error.

    Raises:
      tf.errors.InvalidArgumentError: If a value is NaN or outside [0, 256). Not under
        XLA, which leaves assertions out.
    """
    if x.dtype == tf.uint8:
        return x
    largest = tf.constant(256 if x.dtype.is_floating else 255, x.dtype)
    is_pixel = (x >= tf.zeros([], x.dtype)) & (x <= largest)
    return _asserted(x, is_pixel, f"{name}: expected pixels in [0, 256) and no NaN")


def checked_labels(condition: tf.Tensor, condition_size: int) -> tf.Tensor:
    """Returns a condition, with a check that labels are classes, as `checked_pixels`.

    Args:
      condition: `Tensor` of labels, or of vectors, which pass.
      condition_size: Python `int`, number of classes.

    Raises:
      tf.errors.InvalidArgumentError: If a label is none. Not under XLA.
    """
    if not condition.dtype.is_integer:
        return condition
    labels = tf.cast(condition, tf.int64)
    message = f"condition: expected labels in [0, {condition_size})"
    return _asserted(labels, (labels >= 0) & (labels < condition_size), message)


def checked_weights(weights: tf.Tensor) -> tf.Tensor:
    """Returns weights of examples, with a check that none is negative."""
    return _asserted(
        weights, ~(weights < 0), "sample_weight: expected numbers of 0 or more"
    )


def _asserted(x: tf.Tensor, is_good: tf.Tensor, message: str) -> tf.Tensor:
    details = [f"{message}, got values from", tf.reduce_min(x), "to", tf.reduce_max(x)]
    with tf.control_dependencies(
        [tf.debugging.Assert(tf.reduce_all(is_good), details)]
    ):
        return tf.identity(x)
