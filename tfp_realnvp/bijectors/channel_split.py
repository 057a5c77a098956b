"""Splitting events along the last axis by a mask, without gathers where slices do."""

from __future__ import annotations

import itertools

import numpy as np
import tensorflow as tf


class ChannelSplit:
    """Takes the last axis apart into a kept and a changed part, and together again.

    Args:
      mask: NumPy `bool` vector, `True` for the channels that are kept.
    """

    # More runs than this are cheaper to gather than to slice one by one.
    _MAX_RUNS = 8

    def __init__(self, mask: np.ndarray):
        self.kept = np.flatnonzero(mask)
        self.changed = np.flatnonzero(~mask)
        bounds = np.flatnonzero(np.diff(mask)) + 1
        self._runs = [
            (bool(mask[start]), slice(int(start), int(stop)))
            for start, stop in itertools.pairwise([0, *bounds, len(mask)])
        ]

    def split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the kept and the changed channels of `x`."""
        if len(self._runs) > self._MAX_RUNS:
            return (
                tf.gather(x, self.kept, axis=-1),
                tf.gather(x, self.changed, axis=-1),
            )
        parts = (
            [x[..., run] for keep, run in self._runs if keep is wanted]
            for wanted in (True, False)
        )
        kept, changed = (p[0] if len(p) == 1 else tf.concat(p, axis=-1) for p in parts)
        return kept, changed

    def merge(self, kept: tf.Tensor, changed: tf.Tensor) -> tf.Tensor:
        """Returns the tensor that `split` takes apart into `kept` and `changed`."""
        if len(self._runs) > self._MAX_RUNS:
            order = np.argsort(np.concatenate([self.kept, self.changed]))
            return tf.gather(tf.concat([kept, changed], axis=-1), order, axis=-1)
        parts = []
        taken = {True: 0, False: 0}
        for keep, run in self._runs:
            source, start = (kept if keep else changed), taken[keep]
            taken[keep] = start + run.stop - run.start
            parts.append(source[..., start : taken[keep]])
        return tf.concat(parts, axis=-1)
