"""What happens when a loss or a gradient is NaN or infinite."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_choice, check_int
from tfp_realnvp.bijectors import FusedBijector
from tfp_realnvp.training.flow_layer import FlowLayer
from tfp_realnvp.training.inputs import Batch, unpack
from tfp_realnvp.training.parts import observed, part_names, unchanged

_PASSES = ("_forward_and_log_det", "_inverse_and_log_det")


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

    def after_step(self, is_finite: bool, model: Any, batch: Any) -> None:
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


def find_non_finite(model: Any, batch: Any) -> str:
    """Runs a failed step again, layer by layer, and says where it went wrong.

    The model is left as it was. With several workers each sees its own data only.

    Args:
      model: The `FlowModel`, with the weights and the noise of the failed step.
      batch: What the step was given.

    Returns:
      A sentence.
    """
    local_results = model.distribute_strategy.experimental_local_results
    data = Batch(
        *(
            None if part is None else tf.concat(local_results(part), axis=0)
            for part in unpack(batch)
        )
    )
    for variable in model.trainable_variables:
        if not _all_finite(variable.value):
            return f"the weight {variable.path} is not finite before the step."
    for name, examples in data._asdict().items():
        if examples is None or _all_finite(examples):
            continue
        axes = list(range(1, examples.shape.rank))
        is_good = tf.reduce_all(tf.math.is_finite(examples), axis=axes)
        bad = np.flatnonzero(~is_good.numpy())
        return (
            f"the loss is not finite, for {len(bad)} of the {len(examples)} examples "
            f"hold NaN or infinity in {name}; the first is number {bad[0]} of the "
            "batch."
        )
    with unchanged(model.non_trainable_state):
        return _find_in_layers(model, data)


def _find_in_layers(model: FlowLayer, data: Batch) -> str:
    variables = model.trainable_variables
    with _recorded(model.flow) as passes, tf.GradientTape() as tape:
        log_prob, _ = model.log_prob_parts(data.x, data.condition, training=True)
        loss = tf.reduce_mean(model.to_units(log_prob)) + sum(model.losses)
    for name, kind, ok_before, ok_after in passes:
        if ok_before and not ok_after:
            return f"the loss is {float(loss)}; it arose in {name} ({kind})."
    bad_inputs = [name for name, _, ok_before, _ in passes if not ok_before]
    if bad_inputs:
        return (
            f"the loss is {float(loss)}; it arose before {bad_inputs[0]}, in a part "
            "that is none of this package."
        )
    if not _all_finite(loss):
        return (
            f"the loss is {float(loss)}; every layer's output is finite, so it arose "
            f"in the base distribution {model.flow.name!r} or the penalties."
        )
    gradients = tape.gradient(loss, variables)
    bad = {
        id(variable.value)
        for variable, gradient in zip(variables, gradients, strict=True)
        if gradient is not None and not _all_finite(gradient)
    }
    names = part_names(model.flow)
    # Gradients flow from the last layer of the pass to the first, and what has gone
    # wrong in one goes wrong in all that come after it on this way.
    order = {name: place for place, (name, *_) in enumerate(passes)}
    found = [
        (order.get(name, -1), name, type(part).__name__)
        for part, name in names
        if isinstance(part, keras.layers.Layer)
        and any(id(getattr(v, "value", None)) in bad for v in vars(part).values())
    ]
    if found:
        _, name, kind = max(found)
        return f"a gradient is not finite; it arose in {name} ({kind}) or right after."
    if bad:
        return "a gradient of the base distribution's variables is not finite."
    if not _all_finite(tf.linalg.global_norm([g for g in gradients if g is not None])):
        return "the gradient's global norm is too large for its dtype."
    return (
        "loss or gradient was not finite, but was so when the step was run again on "
        "one device."
    )


@contextlib.contextmanager
def _recorded(flow: tf.Module) -> Iterator[list[tuple[str, str, bool, bool]]]:
    """Lists, as they end, the passes through all layers and bijectors of a flow.

    Yields:
      List of (name, class, whether inputs were finite, whether outputs were).
    """
    passes: list[tuple[str, str, bool, bool]] = []
    with contextlib.ExitStack() as stack:
        for part, name in part_names(flow):
            methods = _PASSES if isinstance(part, FusedBijector) else ("call",)
            for method in methods:
                see = functools.partial(_record, passes, name, type(part).__name__)
                stack.enter_context(observed(part, method, see))
        yield passes


def _record(
    passes: list[tuple[str, str, bool, bool]],
    name: str,
    kind: str,
    arguments: tuple[Any, ...],
    outputs: Any,
) -> None:
    passes.append((name, kind, _all_finite(arguments), _all_finite(outputs)))


def _all_finite(values: Any) -> bool:
    return all(
        bool(tf.reduce_all(tf.math.is_finite(value)))
        for value in tf.nest.flatten(values)
        if tf.is_tensor(value) and value.dtype.is_floating
    )
