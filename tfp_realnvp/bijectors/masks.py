"""Masks that say which entries of an event a coupling passes through.

A mask is a boolean array that broadcasts against the event, `True` where the entry
passes through unchanged (`b = 1` in Eq. 9), or a function from event shape to such
an array, so that one flow serves events of several sizes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_fits, checked_shape
from tfp_realnvp.bijectors.inputs import event_shape_of

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
    height, width, _ = _checked(event_shape, "[height, width, channels]")
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
    event_shape = _checked(event_shape, "a shape, the last dimension static")
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
    event_shape = _checked(event_shape, "a shape, the last dimension static")
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
      ValueError: If `event_shape` is not that of squeezed pixels.
    """
    *_, channels = _checked(event_shape, "[height, width, 4 * channels]")
    if channels % 4:
        raise ValueError(
            f"event_shape: expected [height, width, 4 * channels], got {event_shape}."
        )
    mask = np.repeat([True, False, False, True], channels // 4)
    return _of_last_axis(mask, event_shape)


def _of_last_axis(mask: np.ndarray, event_shape: Sequence[int]) -> tf.Tensor:
    return tf.constant(mask.reshape([1] * (len(event_shape) - 1) + [len(mask)]))


def _checked(event_shape: Any, expected: str) -> tuple[Any, ...]:
    """Returns `event_shape` if a mask can have it."""
    shape = checked_shape("event_shape", event_shape, expected=expected, tensors=True)
    if not shape or (expected[0] == "[" and len(shape) != 3):
        raise ValueError(f"event_shape: expected {expected}, got {shape}.")
    # Masks are the first thing that a flow makes.
    size = math.prod(side for side in shape if not tf.is_tensor(side))
    check_fits("event_shape", shape, 9 * size, "masks")
    return shape


def resolve_mask(mask: Mask, event_shape: Sequence[int]) -> tf.Tensor:
    """Returns `mask` for events of `event_shape`, of the event's rank.

    Raises:
      TypeError: If the mask is not boolean.
      ValueError: If it does not broadcast against an event of `event_shape`.
    """
    value = mask(event_shape) if callable(mask) else mask
    if not tf.is_tensor(value):
        value = np.asarray(value)
    if value.dtype not in (tf.bool, np.bool_):
        raise TypeError(f"mask: expected dtype bool, got {value.dtype.name}.")
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


class ChannelSplit:
    """Splits the last axis into the channels that a mask keeps and others, and back."""

    # More runs than this are cheaper to gather than to split and concatenate.
    _MAX_RUNS = 8
    # From here on a transposition interleaves faster than a stack along the last axis,
    # which copies number by number (512 x 64 in 33 instead of 71 microseconds).
    _MANY_CHANNELS = 32

    def __init__(self, mask: np.ndarray):
        self.kept = np.flatnonzero(mask)
        self.changed = np.flatnonzero(~mask)
        bounds = np.flatnonzero(np.diff(mask)) + 1
        edges = itertools.pairwise([0, *bounds, len(mask)])
        self._runs = [(bool(mask[start]), int(end - start)) for start, end in edges]
        self._keeps_first = bool(mask[0])
        self._alternates = len(mask) % 2 == 0 and len(self._runs) == len(mask)

    def split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the kept and the changed channels of `x`."""
        if self._alternates:
            pairs = tf.reshape(x, [*_outer(x), x.shape[-1] // 2, 2])
            first, second = tf.unstack(pairs, axis=-1)
            return (first, second) if self._keeps_first else (second, first)
        if len(self._runs) > self._MAX_RUNS:
            return (
                tf.gather(x, self.kept, axis=-1),
                tf.gather(x, self.changed, axis=-1),
            )
        parts = tf.split(x, [size for _, size in self._runs], axis=-1)
        kept, changed = parts[::2], parts[1::2]
        if not self._keeps_first:
            kept, changed = changed, kept
        return _joined(kept), _joined(changed)

    def merge(self, kept: tf.Tensor, changed: tf.Tensor) -> tf.Tensor:
        """Returns the tensor that `split` takes apart into `kept` and `changed`."""
        if self._alternates:
            pair = (kept, changed) if self._keeps_first else (changed, kept)
            channels = len(self.kept) + len(self.changed)
            if channels < self._MANY_CHANNELS:
                pairs = tf.stack(pair, axis=-1)
            else:
                rank = kept.shape.rank
                pairs = tf.transpose(tf.stack(pair), [*range(1, rank + 1), 0])
            return tf.reshape(pairs, [*_outer(kept), channels])
        if len(self._runs) > self._MAX_RUNS:
            order = np.argsort(np.concatenate([self.kept, self.changed]))
            return tf.gather(tf.concat([kept, changed], axis=-1), order, axis=-1)
        parts = {True: self._parts(kept, True), False: self._parts(changed, False)}
        return tf.concat([next(parts[keep]) for keep, _ in self._runs], axis=-1)

    def _parts(self, value: tf.Tensor, keep: bool) -> Iterator[tf.Tensor]:
        sizes = [size for kept, size in self._runs if kept is keep]
        return iter([value] if len(sizes) == 1 else tf.split(value, sizes, axis=-1))


def _joined(parts: list[tf.Tensor]) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)


def _outer(value: tf.Tensor) -> list[int | tf.Tensor]:
    return event_shape_of(value, value.shape.rank)[:-1]
