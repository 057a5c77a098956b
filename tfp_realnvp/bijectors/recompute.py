"""Passes whose activations are computed again for the gradient instead of kept."""

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
    """Returns `transform(value, ...)`, of which only the inputs are kept.

    The gradient runs `transform` once more and is exact, and so are its own gradients.
    What layers assign, such as moving averages, is assigned once; the second run sees
    what the first one saw. `transform` reads no variables but those of `layers`.

    Passes that are `alike` are the same function of weights and inputs, which a graph
    then has once, and calls. `None` is like no other.
    """
    variables = [v for layer in layers for v in layer.variables]
    state = {id(v): tf.convert_to_tensor(v.value) for v in variables}
    floating = [v for v in variables if state[id(v)].dtype.is_floating]
    given = {} if condition is None else {"condition": condition}
    inputs = [value, *given.values()]
    if record.could_possibly_record() and have_tangents([*inputs, *state.values()]):
        # Forward mode keeps nothing, and does not go through a custom gradient.
        return transform(value, **given, **kwargs)

    def run(*arguments: tf.Tensor) -> tuple[list[tf.Tensor], list[int]]:
        """Returns the results and what is to be assigned, and to which variables."""
        tensors, weights = arguments[: len(inputs)], arguments[len(inputs) :]
        now = state | {id(v): w for v, w in zip(floating, weights, strict=True)}
        given_now = dict(zip(given, tensors[1:], strict=True))
        with keras.StatelessScope([(v, now[id(v)]) for v in variables]) as scope:
            outputs = transform(tensors[0], **given_now, **kwargs)
        new = [scope.get_current_value(v) for v in variables]
        assigned = [i for i, v in enumerate(variables) if new[i] is not now[id(v)]]
        return [*outputs, *(new[i] for i in assigned)], assigned

    def differentiate(*arguments: tf.Tensor) -> tuple[list[tf.Tensor], None]:
        """Returns the gradients, given the arguments of `run` and those at results."""
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
            # A call waits for all that it is given.
            again = (
                arguments if is_shared else [_after(a, d_outputs) for a in arguments]
            )
            return backward(*again, *d_outputs)[0]

        return (output, log_det), gradient

    return run_and_forget(*inputs, *(state[id(v)] for v in floating))


def _can_call_functions() -> bool:
    """Whether here a graph is made in which a function may be called."""
    if tf.executing_eagerly() or num_replicas() > 1:
        # What replicas exchange they cannot within a function.
        return False
    graph = tf.compat.v1.get_default_graph()
    return not control_flow_util.GraphOrParentsInXlaContext(graph)


def _shared(function: _Function, key: Hashable) -> _Function:
    """Returns a function that a graph traces once for all of one name and key."""

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

            # TensorFlow would copy it to each place where it is called.
            attributes = {"_noinline": True}
            made = tf.function(
                traced, autograph=False, experimental_attributes=attributes
            )
            functions[place] = made.get_concrete_function(*specs), others[-1]
        concrete, other = functions[place]
        return concrete(*arguments), other

    return call


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
