"""Finding the layer where a NaN or an infinity arose."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors import FusedBijector
from tfp_realnvp.training.observed import observed
from tfp_realnvp.training.part_names import part_names
from tfp_realnvp.training.unchanged import unchanged

if TYPE_CHECKING:
    from tfp_realnvp.training.flow_model import FlowModel

_PASSES = ("_forward_and_log_det", "_inverse_and_log_det")


def find_non_finite(model: FlowModel, batch: Any) -> str:
    """Runs a failed step again, layer by layer, and says where it went wrong.

    The model is left as it was. With several workers each sees its own data only.

    Args:
      model: The `FlowModel`, with the weights and the noise of the failed step.
      batch: What the step was given.

    Returns:
      A sentence.
    """
    data = tf.nest.map_structure(
        lambda value: tf.concat(
            model.distribute_strategy.experimental_local_results(value), axis=0
        ),
        batch,
    )
    for variable in model.trainable_variables:
        if not _all_finite(variable.value):
            return f"the weight {variable.path} is not finite before the step."
    for name, examples in zip(("x", "condition"), tf.nest.flatten(data), strict=False):
        if _all_finite(examples):
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


def _find_in_layers(model: FlowModel, data: Any) -> str:
    variables = model.trainable_variables
    with _recorded(model.flow) as passes, tf.GradientTape() as tape:
        log_prob = model(model.inputs_of(data), training=True)
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
