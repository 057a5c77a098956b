"""The learning rate over a run."""

from __future__ import annotations

import math
from typing import Any, Literal

import keras

from tfp_realnvp.arguments import check_choice
from tfp_realnvp.choices import SCHEDULES
from tfp_realnvp.runs.callbacks import TimeLimit

# Part of the run in which a trapezoid falls.
FALL = 0.3


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
        progress = step / self._steps
        if self._time_limit is not None:
            progress = max(progress, self._time_limit.progress)
        progress = min(1.0, progress)
        warmup = min(1.0, (step + 1) / max(1, self._warmup_steps))
        if self._schedule == "cosine":
            return warmup * 0.5 * (1 + math.cos(math.pi * progress))
        if self._schedule == "trapezoid":
            return warmup * min(1.0, (1 - progress) / FALL)
        return warmup
