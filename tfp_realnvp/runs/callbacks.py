"""What happens beside the training steps."""

from __future__ import annotations

import datetime
import sys
import time
from typing import Any

import keras

from tfp_realnvp.arguments import check_number
from tfp_realnvp.data.progress import ProgressLine


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
    """Measures images per second, and adds them to the logs of an epoch.

    The first step, which compiles, does not count, nor does validation.

    Args:
      batch_size: Python `int`, images in a step.
    """

    def __init__(self, batch_size: int):
        super().__init__()
        self._batch_size = batch_size
        self._steps = 0
        self._seconds = 0.0

    @property
    def images_per_second(self) -> float | None:
        """`None` before the second step."""
        if self._steps < 2:
            return None
        return self._batch_size * (self._steps - 1) / self._seconds

    @property
    def seconds_per_step(self) -> float | None:
        """`None` before the second step."""
        speed = self.images_per_second
        return None if speed is None else self._batch_size / speed

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._begin = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._steps:
            self._seconds += time.perf_counter() - self._begin
        self._steps += 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None and self.images_per_second is not None:
            logs["images_per_second"] = self.images_per_second


class Report(keras.callbacks.Callback):
    """Prints how far training is, in place of Keras's bar, see `ProgressLine`.

    Args:
      steps: Python `int`, steps in an epoch.
      epochs: Python `int`, of the whole run, which may have begun earlier.
      throughput: `Throughput` of the same `fit`.
      time_limit: `TimeLimit` of the same `fit`, or `None`.
    """

    def __init__(
        self,
        steps: int,
        epochs: int,
        throughput: Throughput,
        time_limit: TimeLimit | None = None,
    ):
        super().__init__()
        self._steps, self._epochs = steps, epochs
        self._throughput, self._time_limit = throughput, time_limit
        self._line = ProgressLine()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._line.is_due:
            return
        step, total = self.model.step, self._steps * self._epochs
        words = [self._epoch((step - 1) // self._steps), f"step {step}/{total}"]
        words += _words(logs or {})
        each = self._throughput.seconds_per_step
        if each is not None:
            left = (total - step) * each
            if self._time_limit is not None:
                limit = self._time_limit
                left = min(left, max(0.0, (1 - limit.progress) * 60 * limit.minutes))
            words += _words({"images_per_second": self._throughput.images_per_second})
            words.append(f"{datetime.timedelta(seconds=round(left))} left")
        self._line.show(", ".join(words))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self._line.show(f"evaluation, batch {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._line.end(", ".join([self._epoch(epoch), *_words(logs or {})]))

    def _epoch(self, number: int) -> str:
        return f"epoch {number + 1}/{self._epochs}"


def _words(logs: dict[str, Any]) -> list[str]:
    return [
        f"{value:.0f} images/s"
        if name == "images_per_second"
        else f"{name} {float(value):.4g}"
        for name, value in logs.items()
        # The loss is the score and what the layers add to it.
        if not name.endswith("loss")
    ]


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
