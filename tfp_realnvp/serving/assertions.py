"""Checks that are part of an artifact: bad input is an error and never a number."""

from __future__ import annotations

import tensorflow as tf

# Samples at the very ends of the range are rounded beyond them.
_TOLERANCE = 1e-3


def checked_between(x: tf.Tensor, low: float, high: float, name: str) -> tf.Tensor:
    """Returns `x`, with a check that its values are pixels.

    Args:
      x: Floating `Tensor` of any shape.
      low: Python `float`, lower end of what a flow over pixels takes.
      high: Python `float`, its upper end.
      name: Python `str`, what an error calls `x`.

    Raises:
      tf.errors.InvalidArgumentError: If a value is NaN or out of range.
    """
    inside = (x > low - _TOLERANCE) & (x < high + _TOLERANCE)
    message = (
        f"{name}: expected pixels in [0, 256), or at least in the range "
        f"({low:.1f}, {high:.1f}) of samples, and no NaN; got values from"
    )
    details = [message, tf.reduce_min(x), "to", tf.reduce_max(x), *_nans(x)]
    return _with(tf.debugging.Assert(tf.reduce_all(inside), details), x)


def checked_finite(x: tf.Tensor, name: str) -> tf.Tensor:
    """Returns `x`, with a check that it holds neither NaN nor infinity.

    Raises:
      tf.errors.InvalidArgumentError: If it does.
    """
    message = f"{name}: expected finite numbers, got values from"
    details = [message, tf.reduce_min(x), "to", tf.reduce_max(x), *_nans(x)]
    is_finite = tf.reduce_all(tf.math.is_finite(x))
    return _with(tf.debugging.Assert(is_finite, details), x)


def checked_batch(x: tf.Tensor, name: str) -> tf.Tensor:
    """Returns `x`, with a check that it has entries, which convolutions need.

    Raises:
      tf.errors.InvalidArgumentError: If it has none.
    """
    message = f"{name}: expected one example or more, got shape"
    has_entries = tf.shape(x)[0] > 0
    return _with(tf.debugging.Assert(has_entries, [message, tf.shape(x)]), x)


def checked_density(log_prob: tf.Tensor) -> tf.Tensor:
    """Returns `log_prob`, with a check that it is one: minus infinity, but not NaN.

    Raises:
      tf.errors.InvalidArgumentError: If it is NaN or plus infinity.
    """
    is_density = tf.reduce_all(log_prob < log_prob.dtype.max)
    message = "log_prob: expected the logarithm of a density, got"
    details = [message, tf.reduce_max(log_prob), *_nans(log_prob)]
    return _with(tf.debugging.Assert(is_density, details), log_prob)


def checked_at_least(value: tf.Tensor, least: int, name: str) -> tf.Tensor:
    """Returns `value`, with a check that it is finite and not below `least`.

    Raises:
      tf.errors.InvalidArgumentError: If it is.
    """
    in_range = (value >= tf.cast(least, value.dtype)) & (value < value.dtype.max)
    message = f"{name}: expected {least} or more, and finite; got"
    return _with(tf.debugging.Assert(in_range, [message, value]), value)


def checked_parameter(value: tf.Tensor, shape: list[int], name: str) -> tf.Tensor:
    """Returns a value of `shape`, given once or, always the same, for each example.

    Args:
      value: `Tensor` of shape `shape` or [N, *shape].
      shape: List of at most one Python `int`.
      name: Python `str`, what an error calls it.

    Raises:
      tf.errors.InvalidArgumentError: If it is of another shape, or not always the same.
    """
    got, extra = tf.shape(value), tf.rank(value) - len(shape)
    fits = (extra >= 0) & (extra <= 1) & (tf.size(value) > 0)
    fits &= tf.reduce_all(tf.equal(got[-1:], shape)) if shape else True
    message = f"{name}: expected shape {shape}, or {['N', *shape]} for N examples, got"
    value = _with(tf.debugging.Assert(fits, [message, got]), value)
    rows = tf.reshape(value, [-1, *shape])
    message = f"{name}: expected the same for all examples, got"
    # What is NaN is for others to refuse.
    is_same = tf.reduce_all(tf.equal(rows, rows[:1]) | tf.not_equal(rows, rows))
    return _with(tf.debugging.Assert(is_same, [message, value]), rows)[0]


def checked_count(
    condition: tf.Tensor, count: tf.Tensor, size: int, name: str
) -> tf.Tensor:
    """Returns `condition`, with a check that there is one for each of `count`.

    Args:
      condition: `Tensor` of shape [N, size].
      count: Integer `Tensor` of shape [].
      size: Python `int`.
      name: Python `str`, what there are `count` of.

    Raises:
      tf.errors.InvalidArgumentError: If there is not, or if it is not finite.
    """
    condition = checked_finite(condition, "condition")
    message = f"condition: expected shape [N, {size}] with N the {name},"
    details = [message, count, ", got", tf.shape(condition)]
    is_one_each = tf.equal(tf.shape(condition)[0], count)
    return _with(tf.debugging.Assert(is_one_each, details), condition)


def _nans(x: tf.Tensor) -> list:
    return ["and NaN in", tf.math.count_nonzero(tf.math.is_nan(x)), "places."]


def _with(assertion: tf.Operation | None, x: tf.Tensor) -> tf.Tensor:
    # Eagerly an assertion has been made by now, and is no operation.
    with tf.control_dependencies([assertion] if assertion is not None else []):
        return tf.identity(x)
