"""A running average of the weights, which is often better than the last weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.arguments import check_number


def check_decay(decay: Any) -> None:
    """Raises `ValueError` unless `decay` is a number in (0, 1)."""
    expected = "a number between 0 and 1"
    check_number("average_decay", decay, least=0, most=1, expected=expected)
    if decay in (0, 1):
        raise ValueError(f"average_decay: expected {expected}, got {decay}.")


class WeightAverage:
    """Exponential moving average of variables.

    At the t-th update, with `d = min(decay, (t - 1) / (t + 8))`:

    ```none
    average <- d * average + (1 - d) * value
    ```

    The first update takes the weights as they are, and the smaller decay of the next
    ones forgets them soon. Moving averages of batch normalizations are averaged too:
    they belong to the weights.

    Args:
      variables: Keras variables to average; the average starts with the first update.
      decay: Python `float` in (0, 1).

    Raises:
      ValueError: If `decay` is not between 0 and 1.
    """

    def __init__(self, variables: Sequence[keras.Variable], decay: float):
        check_decay(decay)
        self._decay = decay
        self._values = [v.value for v in variables]
        self._averages = [
            tf.Variable(tf.convert_to_tensor(v), trainable=False) for v in self._values
        ]
        self._count = tf.Variable(0.0, trainable=False)

    @property
    def variables(self) -> list[tf.Variable]:
        """All that must be saved to go on later."""
        return [self._count, *self._averages]

    def update(self, *, is_due: tf.Tensor) -> None:
        """Moves the averages; on several replicas each moves its own copies.

        Args:
          is_due: Boolean scalar; nothing happens unless it is `True`, as while
            gradients are being accumulated.
        """
        step = tf.cast(is_due, tf.float32)
        count = self._count + step
        self._count.assign(count)
        share = step * (1 - tf.minimum(self._decay, (count - 1) / (count + 8)))
        for average, value in zip(self._averages, self._values, strict=True):
            # A step that is refused leaves NaN in the moving averages until they are
            # restored, and 0 times NaN is NaN.
            moved = tf.math.multiply_no_nan(
                value - average, tf.cast(share, average.dtype)
            )
            average.assign(average + moved)

    @property
    def is_begun(self) -> bool:
        """Whether there was an update."""
        return bool(tf.convert_to_tensor(self._count) > 0)

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Puts the averages in the place of the weights for a while."""
        weights = [tf.identity(v) for v in self._values]
        for value, average in zip(self._values, self._averages, strict=True):
            value.assign(tf.convert_to_tensor(average))
        try:
            yield
        finally:
            for value, weight in zip(self._values, weights, strict=True):
                value.assign(weight)
