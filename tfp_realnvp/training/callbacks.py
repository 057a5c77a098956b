"""What happens beside the training steps."""

from __future__ import annotations

import os
import time
from typing import Any

import keras

from tfp_realnvp.files import atomic_path


class SaveWeights(keras.callbacks.Callback):
    """Writes the weights after every epoch, never leaving a half-written file.

    Args:
      path: Where to, ending in `.weights.h5`.
    """

    def __init__(self, path: str | os.PathLike):
        super().__init__()
        self._path = path

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        with atomic_path(self._path) as temporary:
            self.model.save_weights(temporary)


class TimeLimit(keras.callbacks.Callback):
    """Ends training after a number of minutes, compilation included.

    Args:
      minutes: Python `float`, counted from the start of `fit`.

    Raises:
      ValueError: If `minutes` is not positive.
    """

    def __init__(self, minutes: float):
        super().__init__()
        if not minutes > 0:
            raise ValueError(f"minutes: expected a positive number, got {minutes}.")
        self._minutes = minutes

    def on_train_begin(self, logs: Any = None) -> None:
        self._end = time.monotonic() + 60 * self._minutes

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if time.monotonic() >= self._end:
            self.model.stop_training = True


class Throughput(keras.callbacks.Callback):
    """Measures images per second over all steps but the first, which compiles.

    Args:
      batch_size: Python `int`, images in a step.
    """

    def __init__(self, batch_size: int):
        super().__init__()
        self._batch_size = batch_size
        self._steps = 0
        self._seconds = 0.0

    @property
    def images_per_second(self) -> float:
        """NaN before the second step."""
        if self._steps < 2:
            return float("nan")
        return self._batch_size * (self._steps - 1) / self._seconds

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._begin = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._steps:
            self._seconds += time.perf_counter() - self._begin
        self._steps += 1
