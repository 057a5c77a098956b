"""Shapes of events: reading them off tensors, and checking them."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def event_shape_of(value: tf.Tensor, event_ndims: int) -> list[int | tf.Tensor]:
    """Returns the last `event_ndims` dimensions, static where they are known."""
    dynamic = tf.shape(value)
    return [
        dynamic[axis] if value.shape[axis] is None else value.shape[axis]
        for axis in range(-event_ndims, 0)
    ]


def check_event(
    value: tf.Tensor,
    name: str,
    event_shape: Sequence[int],
    *,
    any_size: bool = False,
    divisor: int = 1,
) -> None:
    """Checks the static shape of `value` against the events a bijector takes.

    Args:
      value: `Tensor` of shape [..., *event_shape].
      name: Python `str`, what to call `value` in an error.
      event_shape: Sequence of Python `int`s.
      any_size: Python `bool`. If `True`, only the last axis must agree with
        `event_shape`; the others may differ.
      divisor: Python `int` that must divide all axes but the last.

    Raises:
      ValueError: If `value` has too few axes or another event shape.
    """
    *outer, channels = event_shape
    wanted = [None] * len(outer) if any_size else outer
    actual = value.shape[-len(event_shape) :]
    sides = [] if actual.rank is None else actual[:-1]
    if (
        value.shape.rank is not None
        and value.shape.rank >= len(event_shape)
        and tf.TensorShape([*wanted, channels]).is_compatible_with(actual)
        and all(side is None or side % divisor == 0 for side in sides)
    ):
        return
    expected = f"(..., {', '.join(str(n) for n in event_shape)})"
    if any_size and outer:
        expected += f" or other sides than {' x '.join(map(str, outer))}"
        if divisor > 1:
            expected += f" that are divisible by {divisor}"
    raise ValueError(f"{name}: expected shape {expected}, got {value.shape}.")
