"""Dequantization noise, and the number of the batch at hand, of which it depends."""

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
    """Returns floating images plus uniform noise in [0, 1) (Section 4.1).

    The noise of an example depends on its place in the global batch, and not on the
    replica that has it.
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
