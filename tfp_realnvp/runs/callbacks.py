"""Callbacks of a run: time limit, learning rate, progress report, TensorBoard."""

from __future__ import annotations

import datetime
import math
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_choice, check_number
from tfp_realnvp.choices import SCHEDULES
from tfp_realnvp.data.progress import ProgressLine
from tfp_realnvp.figures import image_grid, sample_images, to_uint8
from tfp_realnvp.health.measures import round_trip, scores_by_statistics
from tfp_realnvp.training.functions import dequantized

# Final share of the run in which the `trapezoid` schedule falls.
FALL = 0.3
# Numbers of images that TensorBoard measures, samples and reconstructs.
_MEASURED, _SAMPLES, _RECONSTRUCTED = 64, 16, 8


class TimeLimit(keras.callbacks.Callback):
    """Ends training after a number of minutes, including those before a resume."""

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
        """Elapsed share of the time, 1 or more at its end."""
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

    where p is the share of steps done or of the time limit elapsed, whichever is
    larger.

    Args:
      learning_rate: Python `float`, the peak.
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
        self._learning_rate, self._steps = learning_rate, steps
        self._schedule, self._warmup_steps = schedule, warmup_steps
        self._time_limit = time_limit

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        step, limit = self.model.step, self._time_limit
        of_time = 0.0 if limit is None else limit.progress
        progress = min(1.0, max(step / self._steps, of_time))
        factor = min(1.0, (step + 1) / max(1, self._warmup_steps))
        if self._schedule == "cosine":
            factor = factor * 0.5 * (1 + math.cos(math.pi * progress))
        elif self._schedule == "trapezoid":
            factor = factor * min(1.0, (1 - progress) / FALL)
        self.model.optimizer.learning_rate = self._learning_rate * factor


class Throughput(keras.callbacks.Callback):
    """Adds images per second to the logs, not counting the first step."""

    def __init__(self, batch_size: int):
        super().__init__()
        self._batch_size, self._steps, self._seconds = batch_size, 0, 0.0

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
        if self.images_per_second is not None:
            logs["images_per_second"] = self.images_per_second


class Report(Throughput):
    """Also prints the progress of `epochs` epochs of `steps` steps each."""

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
        epoch = (step - 1) // self._in_epoch
        told = [f"step {step}/{total}", *_words(logs)]
        speed, limit = self.images_per_second, self._time_limit
        if speed is not None:
            left = (total - step) * self._batch_size / speed
            if limit is not None:
                left = min(left, max(0.0, (1 - limit.progress) * 60 * limit.minutes))
            told += _words({"images_per_second": speed})
            told.append(f"{datetime.timedelta(seconds=round(left))} left")
        self._line.show(self._of_epoch(epoch, told))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self._line.show(f"evaluation, batch {batch + 1}")

    def on_test_end(self, logs: Any = None) -> None:
        self._line.end()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, logs)
        self._line.end(self._of_epoch(epoch, _words(logs)))

    def _of_epoch(self, number: int, told: list[str]) -> str:
        return ", ".join([f"epoch {number + 1}/{self._epochs}", *told])


def _words(logs: dict[str, Any]) -> list[str]:
    # Without the loss, which is the score plus the penalties of the layers.
    told = {k: v for k, v in logs.items() if not k.endswith("loss")}
    speed = told.pop("images_per_second", None)
    words = [f"{name} {float(value):.4g}" for name, value in told.items()]
    return words if speed is None else [*words, f"{speed:.0f} images/s"]


class EvaluateAverage(keras.callbacks.Callback):
    """Adds the scores of the averaged weights to the logs, as `val_average_...`."""

    def __init__(self, images: Any):
        super().__init__()
        self._images = images

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self.model.has_average:
            # All steps so far were skipped, or gradients are still being accumulated.
            return
        with self.model.averaged_weights():
            result = self.model.evaluate(self._images, verbose=0, return_dict=True)
        del result["loss"]
        logs |= {f"val_average_{name}": value for name, value in result.items()}


class TensorBoard(keras.callbacks.Callback):
    """Writes the training of a `FlowModel` for `tensorboard --logdir`.

    ```none
    train/...       every `every_steps` steps: Keras's logs, over the epoch so far;
                    gradient_norm, prior and log_det of the last batch; learning_rate
    validation/...  after every epoch, like all that follow
    health/...      round_trip_error and statistics_gap of 64 images
    samples         of the same latents every time
    reconstructions of images from their latents, below the images
    ```

    Steps are the model's `step`, so a resumed run continues in the same folder.
    The last three need `images`, of dtype `uint8`.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        *,
        images: np.ndarray | None,
        condition: np.ndarray | None = None,
        seed: int = 0,
        every_steps: int = 10,
    ):
        super().__init__()
        self._directory = os.fspath(directory)
        self._images = None if images is None else images[:_MEASURED]
        self._condition = None if condition is None else condition[:_MEASURED]
        self._seed, self._every_steps = seed, every_steps

    def on_train_begin(self, logs: Any = None) -> None:
        model = self.model
        if self._images is not None:
            self._round_trip = round_trip(model.flow)
            self._scores = scores_by_statistics(model)
        self._intervals = model.step // self._every_steps
        self._writer = tf.summary.create_file_writer(self._directory)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        intervals = self.model.step // self._every_steps
        # With `steps_per_execution` Keras may skip the call for some steps.
        if intervals == self._intervals:
            return
        self._intervals = intervals
        rate = {"learning_rate": self.model.optimizer.learning_rate}
        self._write("train", {**(logs or {}), **self.model.last_report, **rate})
        # A checkpoint may follow: a run resumed from it must leave no gap here.
        self._writer.flush()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        validation = {
            name.removeprefix("val_"): value
            for name, value in (logs or {}).items()
            if name.startswith("val_")
        }
        self._write("validation", validation)
        if self._images is not None:
            self._write_health_and_pictures(self._images)
        self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        self._writer.close()

    def _write_health_and_pictures(self, images: np.ndarray) -> None:
        flow, condition = self.model.flow, self._condition
        events = dequantized(tf.cast(images, flow.dtype), tf.constant([0, self._seed]))
        running, batch = self._scores(events, condition)
        found = self._round_trip(events, condition)
        health = {
            "round_trip_error": np.max(np.abs(found - events)),
            "statistics_gap": running.mean() - batch.mean(),
        }
        self._write("health", health)
        condition = None if condition is None else condition[:_SAMPLES]
        count = _SAMPLES if condition is None else len(condition)
        samples = sample_images(flow, count, seed=self._seed, condition=condition)
        self._write_grid("samples", samples, columns=4)
        originals = images[:_RECONSTRUCTED]
        pairs = [originals, to_uint8(found[:_RECONSTRUCTED].numpy())]
        self._write_grid("reconstructions", np.concatenate(pairs), len(originals))

    def _write(self, group: str, values: Mapping[str, Any]) -> None:
        with self._writer.as_default(step=self.model.step):
            for name, value in values.items():
                # A learning rate can be distributed over replicas.
                number = float(tf.convert_to_tensor(value))
                tf.summary.scalar(f"{group}/{name}", number)

    def _write_grid(self, name: str, images: np.ndarray, columns: int) -> None:
        grid = image_grid(images, columns=columns, scale=None, gap=2)
        with self._writer.as_default(step=self.model.step):
            tf.summary.image(name, grid[np.newaxis])
