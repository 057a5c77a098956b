"""What happens beside the training steps."""

from __future__ import annotations

import datetime
import math
import sys
import time
from typing import Any, Literal

import keras

from tfp_realnvp.arguments import check_choice, check_number
from tfp_realnvp.choices import SCHEDULES
from tfp_realnvp.data.progress import ProgressLine

# Part of the run in which a trapezoid falls.
FALL = 0.3


class TimeLimit(keras.callbacks.Callback):
    """Ends training after a number of minutes, those spent earlier included."""

    def __init__(self, minutes: float, seconds_before: float = 0.0):
        super().__init__()
        least = sys.float_info.min
        check_number("minutes", minutes, least=least, expected="a positive number")
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


class LearningRate(keras.callbacks.Callback):
    """Sets the learning rate before every step.

    ```none
    rate(p) = learning_rate * min(1, (step + 1) / warmup_steps) * f(p)

    constant:   f(p) = 1
    cosine:     f(p) = (1 + cos(pi p)) / 2
    trapezoid:  f(p) = min(1, (1 - p) / 0.3)
    ```

    with p the share of the steps that are done, or of the time limit that has passed,
    whichever is more.

    Args:
      learning_rate: Python `float`, the highest.
      steps: Python `int`, number of training steps.
      schedule: `"constant"`, `"cosine"` or `"trapezoid"`.
      warmup_steps: Python `int`, steps over which the rate first rises; 0 for none.
      time_limit: `TimeLimit` of the same `fit`, or `None`.

    Raises:
      ValueError: If there is no such schedule.
    """

    def __init__(
        self,
        learning_rate: float,
        steps: int,
        schedule: Literal["constant", "cosine", "trapezoid"] = "cosine",
        *,
        warmup_steps: int = 0,
        time_limit: TimeLimit | None = None,
    ):
        super().__init__()
        check_choice("schedule", schedule, SCHEDULES)
        self._learning_rate = learning_rate
        self._steps = steps
        self._schedule = schedule
        self._warmup_steps = warmup_steps
        self._time_limit = time_limit

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate = self._learning_rate * self._factor()

    def _factor(self) -> float:
        step = self.model.step
        of_time = 0.0 if self._time_limit is None else self._time_limit.progress
        progress = min(1.0, max(step / self._steps, of_time))
        warmup = min(1.0, (step + 1) / max(1, self._warmup_steps))
        if self._schedule == "cosine":
            return warmup * 0.5 * (1 + math.cos(math.pi * progress))
        if self._schedule == "trapezoid":
            return warmup * min(1.0, (1 - progress) / FALL)
        return warmup


class Throughput(keras.callbacks.Callback):
    """Adds images per second to the logs, of the steps after the first."""

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

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._begin = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._steps:
            self._seconds += time.perf_counter() - self._begin
        self._steps += 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None and self.images_per_second is not None:
            logs["images_per_second"] = self.images_per_second


class Report(Throughput):
    """Prints how far training is too, in place of Keras's bar, see `ProgressLine`.

    `steps` are those of an epoch, `epochs` those of the whole run.
    """

    def __init__(
        self,
        batch_size: int,
        steps: int = 1,
        epochs: int = 1,
        time_limit: TimeLimit | None = None,
    ):
        super().__init__(batch_size)
        self._in_epoch, self._epochs = steps, epochs
        self._time_limit = time_limit
        self._line = ProgressLine()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_end(batch, logs)
        if not self._line.is_due:
            return
        step, total = self.model.step, self._in_epoch * self._epochs
        words = [self._epoch((step - 1) // self._in_epoch), f"step {step}/{total}"]
        words += _words(logs or {})
        speed, limit = self.images_per_second, self._time_limit
        if speed is not None:
            left = (total - step) * self._batch_size / speed
            if limit is not None:
                left = min(left, max(0.0, (1 - limit.progress) * 60 * limit.minutes))
            words += _words({"images_per_second": speed})
            words.append(f"{datetime.timedelta(seconds=round(left))} left")
        self._line.show(", ".join(words))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self._line.show(f"evaluation, batch {batch + 1}")

    def on_test_end(self, logs: Any = None) -> None:
        self._line.end()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, logs)
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
    """Adds the scores of the averaged weights to the logs, as `val_average_...`."""

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
