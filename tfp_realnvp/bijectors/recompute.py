"""Passes whose activations are computed again for the gradient instead of kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.eager import record

from tfp_realnvp.bijectors.moment import have_tangents

_Pair = tuple[tf.Tensor, tf.Tensor]


def recomputed(
    transform: Callable[..., _Pair],
    layers: Sequence[keras.layers.Layer],
    value: tf.Tensor,
    *,
    condition: tf.Tensor | None = None,
    **kwargs: Any,
) -> _Pair:
    """Returns `transform(value, ...)`, of which only the inputs are kept.

    The gradient runs `transform` once more and is exact, and so are its own gradients.
    What layers assign, such as moving averages, is assigned once; the second run sees
    what the first one saw. `transform` reads no variables but those of `layers`.
    """
    variables = [v for layer in layers for v in layer.variables]
    state = {id(v): tf.convert_to_tensor(v.value) for v in variables}
    floating = [v for v in variables if state[id(v)].dtype.is_floating]
    given = {} if condition is None else {"condition": condition}
    inputs = [value, *given.values()]
    if record.could_possibly_record() and have_tangents([*inputs, *state.values()]):
        # Forward mode keeps nothing, and does not go through a custom gradient.
        return transform(value, **given, **kwargs)

    def run(
        arguments: Sequence[tf.Tensor],
    ) -> tuple[_Pair, list[tuple[keras.Variable, tf.Tensor]]]:
        """Returns the result, and what variables have been assigned."""
        tensors, weights = arguments[: len(inputs)], arguments[len(inputs) :]
        now = state | {id(v): w for v, w in zip(floating, weights, strict=True)}
        given_now = dict(zip(given, tensors[1:], strict=True))
        with keras.StatelessScope([(v, now[id(v)]) for v in variables]) as scope:
            outputs = transform(tensors[0], **given_now, **kwargs)
        new = [(v, scope.get_current_value(v)) for v in variables]
        return outputs, [(v, value) for v, value in new if value is not now[id(v)]]

    @tf.custom_gradient
    def run_and_forget(*arguments: tf.Tensor) -> tuple[_Pair, Callable[..., Any]]:
        with record.stop_recording():
            outputs, assigned = run(arguments)
        for variable, new in assigned:
            variable.assign(new)

        def gradient(*d_outputs: tf.Tensor) -> Sequence[tf.Tensor]:
            again = [_after(a, d_outputs) for a in arguments]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(again)
                outputs, _ = run(again)
            return tape.gradient(
                outputs,
                again,
                d_outputs,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )

        return outputs, gradient

    return run_and_forget(*inputs, *(state[id(v)] for v in floating))


def _after(value: tf.Tensor, others: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns `value`, but in a graph not before all `others` have been computed.

    What needs no gradient would otherwise be computed as soon as it can be, all
    activations before the first gradient.
    """
    if tf.executing_eagerly():
        return tf.identity(value)
    with tf.control_dependencies(others):
        value = tf.identity(value)
    # XLA goes by values alone: here is a zero that it cannot know.
    first = tf.reshape(others[0], [-1])[:1]
    never = tf.reduce_any(tf.math.is_nan(first) & tf.math.is_inf(first))
    return value + tf.cast(never, value.dtype)
