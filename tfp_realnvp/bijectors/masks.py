"""Masks that say which entries of an event a coupling passes through.

A mask is a boolean array that broadcasts against the event, `True` where the entry
passes through unchanged (`b = 1` in Eq. 9), or a function from event shape to such
an array, so that one flow serves events of several sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import (
    check_flag,
    checked_shape,
    shortened,
)
from tfp_realnvp.machine import check_fits

Mask: TypeAlias = np.ndarray | tf.Tensor | Callable[[Sequence[int]], tf.Tensor]


def checkerboard_mask(event_shape: Sequence[int], *, invert: bool = False) -> tf.Tensor:
    """Returns the spatial checkerboard mask (Section 3.4, Figure 3).

    Args:
      event_shape: [height, width, channels]; Python `int`s or scalar `Tensor`s.
      invert: Python `bool`. The mask is `True` where row + column is odd, or, if
        `invert`, where it is even.

    Returns:
      `Tensor` of `bool`, shape [height, width, 1].

    #### Example

    ```python
    >>> from tfp_realnvp import checkerboard_mask
    >>> print(checkerboard_mask([2, 4, 3])[..., 0].numpy().astype(int))
    [[0 1 0 1]
     [1 0 1 0]]

    ```
    """
    height, width, _ = _checked(event_shape, invert, "[height, width, channels]")
    count = tf.range if any(map(tf.is_tensor, (height, width))) else np.arange
    parity = (count(height)[:, np.newaxis] + count(width)) % 2
    return tf.convert_to_tensor((parity == int(not invert))[..., np.newaxis])


def channel_mask(event_shape: Sequence[int], *, invert: bool = False) -> tf.Tensor:
    """Returns the mask of the first half of the last axis (Section 3.4, Figure 3).

    Args:
      event_shape: Any shape; Python `int`s or scalar `Tensor`s, the last one static.
      invert: Python `bool`. The mask is `True` on the first half (rounded down) of
        the last axis, or, if `invert`, on the second.

    Returns:
      `Tensor` of `bool`, shape [1, ..., 1, channels], of the event's rank.

    #### Example

    ```python
    >>> from tfp_realnvp import channel_mask
    >>> print(channel_mask([2, 4, 6]).numpy().astype(int).ravel())
    [1 1 1 0 0 0]

    ```
    """
    event_shape = _checked(event_shape, invert, "a shape, the last dimension static")
    channels = event_shape[-1]
    first = np.arange(channels) < channels // 2
    return _of_last_axis(~first if invert else first, event_shape)


def alternating_mask(event_shape: Sequence[int], *, invert: bool = False) -> tf.Tensor:
    """Returns the mask of every second entry of the last axis.

    Args:
      event_shape: Any shape; Python `int`s or scalar `Tensor`s, the last one static.
      invert: Python `bool`. The mask is `True` at odd positions, or, if `invert`, at
        even ones.

    Returns:
      `Tensor` of `bool`, shape [1, ..., 1, channels], of the event's rank.

    #### Example

    ```python
    >>> from tfp_realnvp import alternating_mask
    >>> print(alternating_mask([5]).numpy().astype(int))
    [0 1 0 1 0]

    ```
    """
    event_shape = _checked(event_shape, invert, "a shape, the last dimension static")
    odd = np.arange(event_shape[-1]) % 2 == 1
    return _of_last_axis(~odd if invert else odd, event_shape)


def diagonal_mask(event_shape: Sequence[int]) -> tf.Tensor:
    """Returns the mask of one checkerboard colour of squeezed pixels.

    After `Squeeze`, the channels hold the four pixels of a 2 x 2 block, from top
    left to bottom right. The mask is `True` on the top left and the bottom right
    one: a diagonal pair, so that the split does not repeat that of `channel_mask`.

    Args:
      event_shape: [height, width, 4 * channels].

    Returns:
      `Tensor` of `bool`, shape [1, 1, 4 * channels].

    Raises:
      ValueError: If `event_shape` is none of squeezed pixels.
    """
    *_, channels = _checked(event_shape, False, "[height, width, 4 * channels]")
    if tf.is_tensor(channels) or channels % 4:
        raise ValueError(
            "event_shape: expected [height, width, 4 * channels], got "
            f"{shortened(event_shape)}."
        )
    mask = np.repeat([True, False, False, True], channels // 4)
    return _of_last_axis(mask, event_shape)


def _of_last_axis(mask: np.ndarray, event_shape: Sequence[int]) -> tf.Tensor:
    return tf.constant(mask.reshape([1] * (len(event_shape) - 1) + [len(mask)]))


def _checked(event_shape: Any, invert: Any, expected: str) -> tuple[Any, ...]:
    """Returns `event_shape` if there can be a mask of it."""
    check_flag("invert", invert)
    shape = checked_shape("event_shape", event_shape, expected=expected, tensors=True)
    of_images = expected.startswith("[")
    static = not shape or of_images or not tf.is_tensor(shape[-1])
    if not shape or (of_images and len(shape) != 3) or not static:
        raise ValueError(
            f"event_shape: expected {expected}, got {shortened(event_shape)}."
        )
    if of_images and not any(map(tf.is_tensor, shape[:2])):
        check_fits("event_shape", shape, 9 * shape[0] * shape[1], "masks")
    if not tf.is_tensor(shape[-1]):
        check_fits("event_shape", shape, 9 * shape[-1], "masks")
    return shape


def resolve_mask(mask: Mask, event_shape: Sequence[int]) -> tf.Tensor:
    """Returns `mask` for events of `event_shape`, of the event's rank.

    Args:
      mask: Boolean array that broadcasts against the event, or a function that
        returns one.
      event_shape: Shape of the event.

    Raises:
      TypeError: If the mask is not boolean.
      ValueError: If it does not broadcast against an event of `event_shape`.
    """
    value = mask(event_shape) if callable(mask) else mask
    if not tf.is_tensor(value):
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise TypeError(
                f"mask: expected an array of dtype bool, got {shortened(mask)}."
            ) from error
    if value.dtype not in (tf.bool, np.bool_):
        dtype = value.dtype.name
        raise TypeError(f"mask: expected dtype bool, got {dtype}.")
    value = tf.convert_to_tensor(value)
    rank = len(event_shape)
    padded = [1] * (rank - value.shape.rank) + list(value.shape)
    fits = len(padded) == rank and all(
        m is None or m == 1 or not isinstance(e, int) or m == e
        for m, e in zip(padded, event_shape, strict=True)
    )
    if not fits:
        raise ValueError(
            "mask: expected a shape that broadcasts against events of shape "
            f"{tuple(event_shape)}, got {tuple(value.shape)}."
        )
    missing = rank - value.shape.rank
    return value[(tf.newaxis,) * missing] if missing else value
