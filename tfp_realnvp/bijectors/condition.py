"""Conditions: the labels or feature vectors that a conditional flow is given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int, checked_array, shortened


def check_condition_size(condition_size: int | None) -> None:
    """Raises `ValueError` if `condition_size` is neither `None` nor a positive int."""
    is_int = isinstance(condition_size, int) and not isinstance(condition_size, bool)
    if condition_size is not None and (not is_int or condition_size < 1):
        raise ValueError(
            "condition_size: expected a positive int, or None for no condition, got "
            f"{shortened(condition_size)}."
        )
    if condition_size is not None:
        check_int("condition_size", condition_size)


def common_condition_size(condition_sizes: Iterable[int | None]) -> int | None:
    """Returns the size that all conditional members of a bijector share.

    Args:
      condition_sizes: One for each member, `None` for those without a condition.

    Raises:
      ValueError: If two of them differ.
    """
    sizes = sorted({size for size in condition_sizes if size is not None})
    if len(sizes) > 1:
        raise ValueError(
            "bijectors: expected one condition_size for all that take a condition, "
            f"got {', '.join(map(str, sizes))}."
        )
    return sizes[0] if sizes else None


def encode_condition(
    condition: Any,
    condition_size: int | None,
    dtype: tf.DType,
    *,
    validate_args: bool,
) -> tf.Tensor | None:
    """Returns a condition as vectors, and checks it.

    Args:
      condition: Labels, of an integer dtype and shape [...], or vectors, of a floating
        or boolean dtype and shape [..., condition_size]; or `None`.
      condition_size: Python `int`, number of classes or length of the vectors, or
        `None` if no condition is wanted.
      dtype: Dtype of the result.
      validate_args: Python `bool`, whether to check the labels' values in a graph too.

    Returns:
      `Tensor` of shape [..., condition_size], or `None` if none is wanted.

    Raises:
      ValueError: If there is a condition and none is wanted, if one is wanted and
        there is none, if it is of the wrong shape, or if a label is outside
        [0, condition_size).
      tf.errors.InvalidArgumentError: In a graph, with `validate_args`, for such a
        label, which otherwise counts as no class at all.
    """
    if condition_size is None:
        if condition is None:
            return None
        raise ValueError(
            "condition: expected none, for this bijector was made without "
            f"condition_size; got {_describe(condition)}."
        )
    wanted = (
        f"integer labels in [0, {condition_size}) of shape (...) or floating vectors "
        f"of shape (..., {condition_size})"
    )
    if condition is None:
        raise ValueError(f"condition: expected {wanted}, got None.")
    if not tf.is_tensor(condition):
        condition = checked_array("condition", condition, kinds="biuf", expected=wanted)
    condition = tf.convert_to_tensor(condition)
    if not (
        condition.dtype.is_integer
        or condition.dtype.is_floating
        or condition.dtype.is_bool
    ):
        raise ValueError(f"condition: expected {wanted}, got {_describe(condition)}.")
    if condition.dtype.is_integer:
        labels = tf.cast(condition, tf.int64)
        in_range = tf.reduce_all((labels >= 0) & (labels < condition_size))
        if tf.executing_eagerly() and not in_range:
            raise ValueError(
                f"condition: expected {wanted}, got labels from "
                f"{tf.reduce_min(labels)} to {tf.reduce_max(labels)}."
            )
        if validate_args and not tf.executing_eagerly():
            message = f"condition: expected {wanted}, got labels"
            check = tf.debugging.Assert(in_range, [message, labels])
            with tf.control_dependencies([check]):
                labels = tf.identity(labels)
        return tf.one_hot(labels, condition_size, dtype=dtype)
    last = condition.shape[-1] if condition.shape.rank else 0
    if condition.shape.rank is not None and last not in (None, condition_size):
        raise ValueError(f"condition: expected {wanted}, got {_describe(condition)}.")
    return tf.cast(condition, dtype)


def broadcast_batch(
    value: tf.Tensor, condition: tf.Tensor, event_ndims: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Broadcasts the leading dimensions of a value and its condition to each other.

    Args:
      value: `Tensor` of shape [..., *event_shape].
      condition: `Tensor` of shape [..., condition_size].
      event_ndims: Python `int`, rank of the events, at least 1.

    Raises:
      ValueError: If the leading dimensions do not broadcast.
    """
    value_batch, condition_batch = value.shape[:-event_ndims], condition.shape[:-1]
    try:
        static = tf.broadcast_static_shape(value_batch, condition_batch)
    except ValueError as error:
        raise ValueError(
            f"condition: expected leading dimensions that broadcast against the batch "
            f"shape {value_batch}, got {condition_batch}."
        ) from error
    if value_batch == condition_batch and static.is_fully_defined():
        return value, condition
    dynamic = _broadcast_shape(tf.shape(value)[:-event_ndims], tf.shape(condition)[:-1])

    def spread(tensor: tf.Tensor, ndims: int) -> tf.Tensor:
        shape = tf.concat([dynamic, tf.shape(tensor)[-ndims:]], axis=0)
        full = tf.broadcast_to(tensor, shape)
        full.set_shape(static.concatenate(tensor.shape[-ndims:]))
        return full

    return spread(value, event_ndims), spread(condition, 1)


def _broadcast_shape(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    if first.shape != second.shape:
        return tf.broadcast_dynamic_shape(first, second)
    # The same, of as many dimensions, in operations that ONNX has too. What does not
    # broadcast is found by whoever broadcasts to the result.
    return tf.where(tf.equal(first, 1), second, first)


def _describe(condition: Any) -> str:
    if not tf.is_tensor(condition):
        try:
            condition = np.asarray(condition)
        except Exception:
            return shortened(condition)
    return f"{condition.dtype.name} of shape {tuple(condition.shape)}"
