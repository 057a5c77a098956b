"""What happens beside the training steps."""

from __future__ import annotations

import sys
import time
from typing import Any

import keras

from tfp_realnvp.arguments import check_number


class TimeLimit(keras.callbacks.Callback):
    """Ends training after a number of minutes, compilation included.

    Args:
      minutes: Python `float`, counted from the start of `fit`.
      seconds_before: Python `float`, what a run that goes on has already spent.

    Raises:
      ValueError: If `minutes` is not positive.
    """

    def __init__(self, minutes: float, seconds_before: float = 0.0):
        super().__init__()
        check_number(
            "minutes", minutes, least=sys.float_info.min, expected="a positive number"
        )
        self.minutes = minutes
        self._seconds_before = seconds_before
        self._begin: float | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        self._begin = self._begin or time.monotonic()

    @property
    def progress(self) -> float:
        """Share of the time that has passed."""
        now = time.monotonic()
        seconds = self._seconds_before + now - (self._begin or now)
        return seconds / (60 * self.minutes)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.progress >= 1:
            self.model.stop_training = True


class Throughput(keras.callbacks.Callback):
    """Adds images per second and the minutes left to what the progress bar shows.

    The first step, which compiles, does not count, nor does validation.

    Args:
      batch_size: Python `int`, images in a step.
      steps: Python `int`, steps of the whole training.
      time_limit: `TimeLimit` of the same `fit`, or `None`.
    """

    def __init__(
        self, batch_size: int, steps: int, time_limit: TimeLimit | None = None
    ):
        super().__init__()
        self._batch_size = batch_size
        self._total_steps = steps
        self._time_limit = time_limit
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
        if logs is None or self._steps < 2:
            return
        left = self._total_steps - self.model.step
        minutes = left * self._batch_size / self.images_per_second / 60
        if self._time_limit is not None:
            limit = self._time_limit
            minutes = min(minutes, max(0.0, (1 - limit.progress) * limit.minutes))
        logs["images_per_second"] = self.images_per_second
        logs["minutes_left"] = minutes

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs["images_per_second"] = self.images_per_second


class EvaluateAverage(keras.callbacks.Callback):
    """Scores the averaged weights on the validation images after every epoch.

    The score enters the logs beside that of the weights themselves, as
    `val_average_...`.

    Args:
      images: `tf.data.Dataset` of batches.
    """

    def __init__(self, images: Any):
        super().__init__()
        self._images = images

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self.model.has_average:
            # Every step so far was skipped, or gradients are still accumulated.
            return
        with self.model.averaged_weights():
            result = self.model.evaluate(self._images, verbose=0, return_dict=True)
        for name, value in result.items():
            if name != "loss":
                logs[f"val_average_{name}"] = value
