"""Checks of training data before any work is done on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf


def check_examples(
    x: Any, name: str, event_shape: Sequence[int], *, pixels: bool
) -> None:
    """Checks a batch or a data set of batches against the events of a flow.

    Args:
      x: Array, `Tensor`, or `tf.data.Dataset` of batches; anything else passes.
      name: Python `str`, what to call `x` in an error.
      event_shape: Sequence of Python `int`s.
      pixels: Python `bool`, whether the values must be pixels in [0, 256).

    Raises:
      ValueError: If `x` is empty, has another shape or holds what is no pixel.
    """
    if isinstance(x, tf.data.Dataset):
        spec = (
            x.element_spec[0] if isinstance(x.element_spec, tuple) else x.element_spec
        )
        if isinstance(spec, tf.TensorSpec):
            _check_shape(spec.shape, name, event_shape)
        # Where the length is not known, one batch tells; elsewhere asking for one
        # could cost the filling of a shuffle buffer.
        length = int(x.cardinality())
        unknown = length == tf.data.UNKNOWN_CARDINALITY
        if length == 0 or (unknown and not any(True for _ in x.take(1))):
            raise ValueError(f"{name}: expected batches, got an empty data set.")
    elif isinstance(x, np.ndarray) or tf.is_tensor(x):
        _check_shape(tf.TensorShape(x.shape), name, event_shape)
        if x.shape[0] == 0:
            raise ValueError(f"{name}: expected examples, got none.")
        _check_values(np.asarray(x), name, pixels=pixels)


def _check_shape(shape: tf.TensorShape, name: str, event_shape: Sequence[int]) -> None:
    expected = tf.TensorShape([None, *event_shape])
    if not expected.is_compatible_with(shape):
        sizes = ", ".join(map(str, event_shape))
        raise ValueError(
            f"{name}: expected batches of shape (N, {sizes}), got {shape}."
        )


def _check_values(x: np.ndarray, name: str, *, pixels: bool) -> None:
    if np.issubdtype(x.dtype, np.floating) and np.isnan(x).any():
        count = int(np.isnan(x).sum())
        raise ValueError(f"{name}: expected numbers, got NaN in {count} places.")
    # Jitter can round 255.999... up to 256 in float32.
    largest = 256 if np.issubdtype(x.dtype, np.floating) else 255
    if pixels and (x.min() < 0 or x.max() > largest):
        raise ValueError(
            f"{name}: expected pixels in [0, 256), got values from {x.min()} to "
            f"{x.max()}."
        )


def checked_pixels(x: tf.Tensor, name: str) -> tf.Tensor:
    """Returns `x`, with a check that its values are pixels when it is evaluated.

    For batches of a `tf.data.Dataset`, which `check_examples` does not look into.

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
    zero = tf.zeros([], x.dtype)
    is_pixel = tf.reduce_all((x >= zero) & (x <= largest))
    message = f"{name}: expected pixels in [0, 256) and no NaN, got values from"
    details = [message, tf.reduce_min(x), "to", tf.reduce_max(x)]
    with tf.control_dependencies([tf.debugging.Assert(is_pixel, details)]):
        return tf.identity(x)
