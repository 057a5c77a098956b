"""What to do about a NaN or infinite loss or gradient, and where it arose."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_choice, check_int
from tfp_realnvp.bijectors import FusedBijector
from tfp_realnvp.choices import ON_NON_FINITE
from tfp_realnvp.training.inputs import Batch, unpack


class NonFinitePolicy:
    """Counts non-finite steps, and decides when they end training."""

    def __init__(self, action: Literal["stop", "skip"], max_in_a_row: int):
        check_choice("on_non_finite", action, ON_NON_FINITE)
        check_int("max_skipped_in_a_row", max_in_a_row)
        self._action, self._max_in_a_row = action, max_in_a_row
        self._in_a_row = self.skipped = 0

    def after_step(self, is_finite: bool, model: Any, batch: Any) -> None:
        """Records a step; raises `FloatingPointError` if training must end."""
        if is_finite:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        try:
            cause = _find_non_finite(model, batch)
        except tf.errors.ResourceExhaustedError:
            cause = "loss or gradient is not finite; not enough memory to locate it."
        message = f"step {model.step + 1}: {cause}"
        if self._action == "stop":
            raise FloatingPointError(
                f"{message} The weights are those before this step. To skip such "
                "steps, train with on_non_finite='skip'."
            )
        if self._in_a_row >= self._max_in_a_row:
            raise FloatingPointError(
                f"{message} This was skipped step {self._in_a_row} in a row. "
                "The weights are those before the first of them."
            )
        self.skipped += 1
        print(
            f"\n{message} Skipped: {self._in_a_row} in a row, {self.skipped} in all.",
            file=sys.stderr,
        )


def _find_non_finite(model: Any, batch: Any) -> str:
    """Repeats a failed step, and says in which layer or input it went wrong.

    The model stays unchanged. Of several workers, each checks only its own data.
    """
    local_results = model.distribute_strategy.experimental_local_results
    parts = unpack(batch).present().items()
    data = Batch(**{k: tf.concat(local_results(part), axis=0) for k, part in parts})
    for variable in model.trainable_variables:
        if not _all_finite(variable.value):
            return f"the weight {variable.path} is not finite before the step."
    for name, examples in data.present().items():
        flat = tf.reshape(tf.cast(examples, tf.float64), [len(examples), -1])
        bad = np.flatnonzero(~np.isfinite(flat).all(axis=1))
        if bad.size:
            return (
                f"the loss is not finite: {len(bad)} of the {len(examples)} "
                f"examples hold NaN or infinity in {name}; the first is number "
                f"{bad[0]} of the batch."
            )
    with unchanged(model.non_trainable_state):
        return _find_in_layers(model, data)


def _find_in_layers(model: Any, data: Batch) -> str:
    # For each pass through a layer or bijector, in the order they end: name and class,
    # and whether inputs and outputs were finite.
    passes: list[tuple[str, bool, bool]] = []

    def watch(name: str) -> Any:
        return lambda inputs, outputs: passes.append(
            (name, _all_finite(inputs), _all_finite(outputs))
        )

    with contextlib.ExitStack() as stack:
        for part, name in part_names(model.flow):
            see = watch(f"{name} ({type(part).__name__})")
            is_ours = isinstance(part, FusedBijector)
            method = "_value_and_log_det" if is_ours else "call"
            stack.enter_context(observed(part, method, see))
        tape = stack.enter_context(tf.GradientTape())
        log_prob, _ = model.log_prob_parts(data.x, data.condition, training=True)
        loss = tf.reduce_mean(model.to_units(log_prob)) + sum(model.losses)
    for name, ok_before, ok_after in passes:
        if not ok_after:
            where = "in" if ok_before else "before"
            return f"the loss is {float(loss)}; it arose {where} {name}."
    if not _all_finite(loss):
        return (
            f"the loss is {float(loss)}; every layer's output is finite, so it arose "
            "in the base distribution or the penalties."
        )
    variables = model.trainable_variables
    names = weight_names(model.flow)
    gradients = zip(tape.gradient(loss, variables), variables, strict=True)
    bad = [v for g, v in gradients if g is not None and not _all_finite(g)]
    if bad:
        # Gradients flow from the last layer to the first, and all layers that they
        # reach after the faulty one have bad gradients, too.
        name = names.get(id(bad[-1]), bad[-1].path)
        return f"a gradient is not finite; it arose in {name} (weight) or right after."
    return "the gradient's global norm is too large for its dtype."


def _all_finite(values: Any) -> bool:
    return all(
        bool(tf.reduce_all(tf.math.is_finite(value)))
        for value in tf.nest.flatten(values)
        if tf.is_tensor(value) and value.dtype.is_floating
    )


def part_names(flow: tf.Module) -> list[tuple[Any, str]]:
    """Returns our bijectors and all Keras layers in a flow, each once, with names.

    Names are Python expressions, like `flow.bijector.bijectors[0].network.conv_in`.
    """
    found: dict[int, tuple[Any, str]] = {}

    def is_wanted(value: Any) -> bool:
        return isinstance(value, (FusedBijector, keras.layers.Layer))

    for path, part in flow._flatten(predicate=is_wanted, with_path=True):
        for inner, name in _with_layers_inside(part, "flow" + _as_python(path)):
            if id(inner) not in found or len(name) < len(found[id(inner)][1]):
                found[id(inner)] = (inner, name)
    return list(found.values())


def weight_names(flow: tf.Module) -> dict[int, str]:
    """Returns the names of the weights of Keras layers in a flow, by `id`."""
    return {
        id(value): f"{name}.{attribute}"
        for part, name in part_names(flow)
        for attribute, value in vars(part).items()
        if isinstance(value, keras.Variable)
    }


def _as_python(path: tuple[Any, ...]) -> str:
    # TFP keeps in `_bijector` what is public as `bijector`.
    return "".join(
        f".{step.lstrip('_')}" if isinstance(step, str) else f"[{step!r}]"
        for step in path
    )


def _with_layers_inside(part: Any, name: str) -> Iterator[tuple[Any, str]]:
    yield part, name
    if not isinstance(part, keras.layers.Layer):
        return
    for attribute, value in vars(part).items():
        inside = {f"{name}.{attribute}": value}
        if isinstance(value, list):
            inside = {f"{name}.{attribute}[{i}]": v for i, v in enumerate(value)}
        for its_name, layer in inside.items():
            if isinstance(layer, keras.layers.Layer) and attribute[0] != "_":
                yield from _with_layers_inside(layer, its_name)


@contextlib.contextmanager
def observed(
    part: Any, method: str, see: Callable[[tuple[Any, ...], Any], None]
) -> Iterator[None]:
    """Calls `see(arguments, outputs)` after each call of a method of `part`."""
    original = getattr(part, method)

    def seen(*args: Any, **kwargs: Any) -> Any:
        outputs = original(*args, **kwargs)
        see((*args, *kwargs.values()), outputs)
        return outputs

    # Bypass `__setattr__` of Keras and TFP, which would track the function.
    object.__setattr__(part, method, seen)
    try:
        yield
    finally:
        object.__delattr__(part, method)


@contextlib.contextmanager
def unchanged(variables: Sequence[keras.Variable]) -> Iterator[None]:
    """Restores the values of variables at the end, even after an error."""
    values = [tf.identity(v.value) for v in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
