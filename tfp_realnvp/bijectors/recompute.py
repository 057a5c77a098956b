"""Passes that recompute activations for the gradient instead of keeping them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.eager import record
from tensorflow.python.ops import control_flow_util

from tfp_realnvp.bijectors.moment import have_tangents
from tfp_realnvp.nets.parts import num_replicas

# Returns tensors, and something else.
_Function = Callable[..., tuple[list[tf.Tensor], Any]]


def recomputed(
    transform: Callable[..., tuple[tf.Tensor, tf.Tensor]],
    layers: Sequence[keras.layers.Layer],
    value: tf.Tensor,
    *,
    alike: Hashable = None,
    condition: tf.Tensor | None = None,
    **kwargs: Any,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `transform(value, ...)`, keeping only the inputs for the gradient.

    The gradient runs `transform` once more and is exact, and so are its own gradients.
    Layers assign, for instance moving averages, only once; the second run sees the same
    state as the first. `transform` must read no variables but those of `layers`.

    Passes with equal `alike` are one function of weights and inputs, which a graph
    contains once and calls. `None` equals no other.
    """
    variables = [v for layer in layers for v in layer.variables]
    state = {id(v): tf.convert_to_tensor(v.value) for v in variables}
    floating = [v for v in variables if state[id(v)].dtype.is_floating]
    given = {} if condition is None else {"condition": condition}
    inputs = [value, *given.values()]
    if record.could_possibly_record() and have_tangents([*inputs, *state.values()]):
        # Forward mode keeps no activations, and does not support custom gradients.
        return transform(value, **given, **kwargs)

    def run(*arguments: tf.Tensor) -> tuple[list[tf.Tensor], list[int]]:
        """Returns the results and new values, and the indices of their variables."""
        tensors, weights = arguments[: len(inputs)], arguments[len(inputs) :]
        now = state | {id(v): w for v, w in zip(floating, weights, strict=True)}
        given_now = dict(zip(given, tensors[1:], strict=True))
        with keras.StatelessScope([(v, now[id(v)]) for v in variables]) as scope:
            outputs = transform(tensors[0], **given_now, **kwargs)
        new = [scope.get_current_value(v) for v in variables]
        assigned = [i for i, v in enumerate(variables) if new[i] is not now[id(v)]]
        return [*outputs, *(new[i] for i in assigned)], assigned

    def differentiate(*arguments: tf.Tensor) -> tuple[list[tf.Tensor], None]:
        """Returns the gradients, given the arguments of `run` and output gradients."""
        *sources, d_output, d_log_det = arguments
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            results, _ = run(*sources)
        zero = tf.UnconnectedGradients.ZERO
        d_results = [d_output, d_log_det]
        return tape.gradient(results[:2], sources, d_results, zero), None

    is_plain = all(isinstance(v, (bool, int, str)) for v in kwargs.values())
    is_shared = (
        alike is not None
        and is_plain
        and len(floating) == len(variables)
        and _can_call_functions()
    )
    forward, backward = run, differentiate
    if is_shared:
        key = alike, tuple(kwargs.items())
        forward, backward = _shared(run, key), _shared(differentiate, key)

    @tf.custom_gradient
    def run_and_forget(*arguments: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
        with record.stop_recording():
            (output, log_det, *new), assigned = forward(*arguments)
        for i, moved in zip(assigned, new, strict=True):
            variables[i].assign(moved)

        def gradient(*d_outputs: tf.Tensor) -> list[tf.Tensor]:
            # A function call waits for all of its arguments anyway.
            again = (
                arguments if is_shared else [_after(a, d_outputs) for a in arguments]
            )
            return backward(*again, *d_outputs)[0]

        return (output, log_det), gradient

    try:
        return run_and_forget(*inputs, *(state[id(v)] for v in floating))
    except TypeError as error:
        if "keyword argument 'variables'" not in str(error):
            raise
        raise ValueError(
            "memory: expected 'stored' for networks and transforms that read variables "
            "other than the weights of Keras layers, got 'recompute'."
        ) from error


def _can_call_functions() -> bool:
    """Whether a graph is being built that may call functions."""
    if tf.executing_eagerly() or num_replicas() > 1:
        # Replicas cannot communicate inside of a function.
        return False
    graph = tf.compat.v1.get_default_graph()
    return not control_flow_util.GraphOrParentsInXlaContext(graph)


def _shared(function: _Function, key: Hashable) -> _Function:
    """Returns a function that a graph traces only once per name and key."""

    def call(*arguments: tf.Tensor) -> tuple[list[tf.Tensor], Any]:
        graph = tf.compat.v1.get_default_graph()
        if not hasattr(graph, "_tfp_realnvp_functions"):
            graph._tfp_realnvp_functions = {}
        functions = graph._tfp_realnvp_functions
        specs = tuple(tf.TensorSpec(a.shape, a.dtype) for a in arguments)
        place = function.__name__, key, specs
        if place not in functions:
            others = []

            def traced(*arguments: tf.Tensor) -> list[tf.Tensor]:
                tensors, other = function(*arguments)
                others.append(other)
                return tensors

            # TensorFlow would inline it at each call.
            attributes = {"_noinline": True}
            made = tf.function(
                traced, autograph=False, experimental_attributes=attributes
            )
            functions[place] = made.get_concrete_function(*specs), others[-1]
        concrete, other = functions[place]
        return concrete(*arguments), other

    return call


def _after(value: tf.Tensor, others: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns `value`, in a graph only after all `others` have been computed.

    Otherwise a graph would recompute all activations before the first gradient, as they
    do not depend on gradients.
    """
    if tf.executing_eagerly():
        return tf.identity(value)
    with tf.control_dependencies(others):
        value = tf.identity(value)
    # XLA respects only data dependencies: add a zero that it cannot simplify.
    first = tf.reshape(others[0], [-1])[:1]
    never = tf.reduce_any(tf.math.is_nan(first) & tf.math.is_inf(first))
    return value + tf.cast(never, value.dtype)
