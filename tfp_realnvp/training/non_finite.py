"""What happens when a loss or a gradient is NaN or infinite."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

import tensorflow as tf

from tfp_realnvp.arguments import check_choice, check_int
from tfp_realnvp.training.diagnosis import find_non_finite

if TYPE_CHECKING:
    from tfp_realnvp.training.flow_model import FlowModel


class NonFinitePolicy:
    """Counts the steps that went wrong and ends training when it must.

    The step itself has changed nothing by then but the count of steps: weights,
    moving averages and optimizer are those of the last good step.

    Args:
      action: `"stop"` ends training at the first such step, `"skip"` goes on.
      max_in_a_row: Python `int`; with `"skip"`, so many steps in a row end it too.

    Raises:
      ValueError: If an argument is none of the above.
    """

    def __init__(
        self, action: Literal["stop", "skip"] = "stop", max_in_a_row: int = 10
    ):
        check_choice("on_non_finite", action, ("stop", "skip"))
        check_int("max_skipped_in_a_row", max_in_a_row)
        self._action = action
        self._max_in_a_row = max_in_a_row
        self._in_a_row = 0
        self.skipped = 0

    def after_step(self, is_finite: bool, model: FlowModel, batch: Any) -> None:
        """Takes note of a step.

        Args:
          is_finite: Whether loss and gradients were finite.
          model: The `FlowModel`.
          batch: What the step was given, to find out where it went wrong.

        Raises:
          FloatingPointError: If training is to end, naming step, layer and cause.
        """
        if is_finite:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        try:
            cause = find_non_finite(model, batch)
        except tf.errors.ResourceExhaustedError:
            cause = "loss or gradient is not finite; too little memory to find where."
        message = f"step {model.step + 1}: {cause}"
        if self._action == "stop":
            raise FloatingPointError(
                f"{message} The weights are those before this step. To leave such "
                "steps out, train with on_non_finite='skip'."
            )
        if self._in_a_row >= self._max_in_a_row:
            raise FloatingPointError(
                f"{message} This was step {self._in_a_row} in a row that had to be "
                "skipped. The weights are those before the first of them."
            )
        self.skipped += 1
        print(
            f"\n{message} Skipped: {self._in_a_row} in a row, {self.skipped} in all.",
            file=sys.stderr,
        )
