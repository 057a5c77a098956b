"""Shapes of events: reading them off tensors, and checking them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_realnvp.arguments import checked_shape


def check_floating(name: str, value: tf.Tensor) -> None:
    """Raises `ValueError` unless an array or `Tensor` is of a floating dtype."""
    if not tf.as_dtype(value.dtype).is_floating:
        raise ValueError(
            f"{name}: expected a floating dtype, got {tf.as_dtype(value.dtype).name}. "
            "To integer pixels add dequantization noise, uniform in [0, 1), as "
            "FlowModel does; cast other numbers."
        )


def event_shape_from(event_shape: Any) -> tuple[int, ...]:
    """Returns the argument `event_shape` of a bijector, checked, as a `tuple`."""
    expected = "a sequence of positive ints, channels last"
    shape = checked_shape("event_shape", event_shape, expected=expected)
    if not shape:
        raise ValueError(f"event_shape: expected {expected}, got ().")
    return shape


def event_shape_of(value: tf.Tensor, event_ndims: int) -> list[int | tf.Tensor]:
    """Returns the last `event_ndims` dimensions, static where they are known."""
    static = value.shape[value.shape.rank - event_ndims :].as_list()
    if None not in static:
        return static
    dynamic = tf.unstack(tf.shape(value)[-event_ndims:])
    return [d if s is None else s for s, d in zip(static, dynamic, strict=True)]


def checked_event_shape(
    shape: tf.TensorShape,
    name: str,
    event_shape: Sequence[int],
    *,
    any_size: bool = False,
    divisor: int = 1,
) -> tf.TensorShape:
    """Returns what is known of an event's shape, checked against what it must be.

    Args:
      shape: `tf.TensorShape`, [..., *event_shape] as far as it is known.
      name: Python `str`, what to call it in an error.
      event_shape: Sequence of Python `int`s.
      any_size: Python `bool`, whether only the last axis must agree.
      divisor: Python `int` that must divide all axes but the last.
    """
    *outer, channels = event_shape
    wanted = tf.TensorShape([*([None] * len(outer) if any_size else outer), channels])
    if shape.rank is None:
        return wanted
    if shape.rank >= len(event_shape):
        event = shape[-len(event_shape) :]
        sides = event[:-1]
        divided = all(
            side is None or (side > 0 and side % divisor == 0) for side in sides
        )
        if wanted.is_compatible_with(event) and divided:
            return wanted.merge_with(event)
    expected = f"(..., {', '.join(str(n) for n in event_shape)})"
    if any_size and outer:
        expected += f" or other sides than {' x '.join(map(str, outer))}"
        if divisor > 1:
            expected += f" that are divisible by {divisor}"
    raise ValueError(f"{name}: expected shape {expected}, got {shape}.")
