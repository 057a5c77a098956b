"""What happens beside the training steps."""

from __future__ import annotations

import math
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


class CosineDecay(keras.callbacks.Callback):
    """Lowers the learning rate along a cosine to 0 at the end of training.

    The end is after `steps` steps or at the time limit, whichever comes first.

    Args:
      steps: Python `int`, number of training steps.
      time_limit: `TimeLimit` of the same `fit`, or `None`.
    """

    def __init__(self, steps: int, time_limit: TimeLimit | None = None):
        super().__init__()
        self._steps = steps
        self._time_limit = time_limit

    def on_train_begin(self, logs: Any = None) -> None:
        self._begin = int(self.model.optimizer.iterations)
        self._initial = float(self.model.optimizer.learning_rate)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        progress = (int(optimizer.iterations) - self._begin) / self._steps
        if self._time_limit is not None:
            progress = max(progress, self._time_limit.progress)
        factor = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        optimizer.learning_rate = self._initial * factor


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
        self._begin = time.monotonic()

    @property
    def progress(self) -> float:
        """Share of the time that has passed."""
        return (time.monotonic() - self._begin) / (60 * self._minutes)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.progress >= 1:
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
