"""Conditions: the labels or feature vectors that a conditional flow is given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tfp_realnvp.arguments import check_int, checked_array


def check_condition_size(condition_size: int | None) -> None:
    """Raises `ValueError` if `condition_size` is neither `None` nor a positive int."""
    if condition_size is not None:
        check_int("condition_size", condition_size)


def common_condition_size(condition_sizes: Iterable[int | None]) -> int | None:
    """Returns the size that all conditional members of a bijector share, if any.

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
    """Returns a condition as vectors, [..., condition_size], `None` if none is wanted.

    Args:
      condition: Labels, of an integer dtype and shape [...], or vectors, of a floating
        or boolean dtype and shape [..., condition_size]; or `None`.
      condition_size: Python `int`, or `None` if no condition is wanted.
      dtype: Dtype of the result.
      validate_args: Python `bool`, whether to check the labels' values in a graph too,
        where those out of range otherwise count as no class at all.

    Raises:
      ValueError: If there is a condition and none is wanted, or the other way round, or
        if it does not fit.
    """
    if condition is not None and not tf.is_tensor(condition):
        condition = checked_array("condition", condition, kinds="biuf")
    got = "None"
    if condition is not None:
        condition = tf.convert_to_tensor(condition)
        got = f"{condition.dtype.name} of shape {tuple(condition.shape)}"
    if condition_size is None:
        if condition is None:
            return None
        raise ValueError(
            "condition: expected none, for this bijector was made without "
            f"condition_size; got {got}."
        )
    wanted = (
        f"condition: expected integer labels in [0, {condition_size}) of shape (...) "
        f"or floating vectors of shape (..., {condition_size})"
    )
    if condition is None:
        raise ValueError(f"{wanted}, got None.")
    if condition.dtype.is_integer:
        labels = tf.cast(condition, tf.int64)
        in_range = tf.reduce_all((labels >= 0) & (labels < condition_size))
        if tf.executing_eagerly() and not in_range:
            raise ValueError(
                f"{wanted}, got labels from {tf.reduce_min(labels)} to "
                f"{tf.reduce_max(labels)}."
            )
        if validate_args and not tf.executing_eagerly():
            check = tf.debugging.Assert(in_range, [f"{wanted}, got labels", labels])
            with tf.control_dependencies([check]):
                labels = tf.identity(labels)
        return tf.one_hot(labels, condition_size, dtype=dtype)
    last = condition.shape[-1] if condition.shape.rank else 0
    if condition.shape.rank is not None and last not in (None, condition_size):
        raise ValueError(f"{wanted}, got {got}.")
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
    first, second = tf.shape(value)[:-event_ndims], tf.shape(condition)[:-1]
    if first.shape != second.shape:
        dynamic = tf.broadcast_dynamic_shape(first, second)
    else:
        # The same, of as many dimensions, in operations that ONNX has too. What does
        # not broadcast is found by whoever broadcasts to the result.
        dynamic = tf.where(tf.equal(first, 1), second, first)

    def spread(tensor: tf.Tensor, ndims: int) -> tf.Tensor:
        shape = tf.concat([dynamic, tf.shape(tensor)[-ndims:]], axis=0)
        full = tf.broadcast_to(tensor, shape)
        full.set_shape(static.concatenate(tensor.shape[-ndims:]))
        return full

    return spread(value, event_ndims), spread(condition, 1)
