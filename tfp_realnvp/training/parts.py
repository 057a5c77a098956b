"""What is inside a flow: layers, variables, their names, and what passes through."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.bijectors import FusedBijector
from tfp_realnvp.bijectors.moment import tell_which_are_trainable
from tfp_realnvp.flows.call_arguments import reached_bijectors
from tfp_realnvp.nets import BatchMoments


def keras_layers(module: tf.Module) -> list[keras.layers.Layer]:
    """Returns the Keras layers held anywhere in `module`, each once."""
    found = module._flatten(
        predicate=lambda value: isinstance(value, keras.layers.Layer)
    )
    return list({id(layer): layer for layer in found}.values())


class _Variable(keras.Variable):
    """A `tf.Variable` as one of Keras's, which tells it whether it is trained."""

    @keras.Variable.trainable.setter
    def trainable(self, value: bool) -> None:
        keras.Variable.trainable.fset(self, value)
        tell_which_are_trainable([self])


def other_variables(module: tf.Module) -> list[keras.Variable]:
    """Returns the variables that belong to no Keras layer: the same, not copies."""
    in_layers = {id(v.value) for layer in keras_layers(module) for v in layer.weights}
    found = []
    for variable in {id(v): v for v in module.variables}.values():
        if id(variable) in in_layers:
            continue
        wrapper = _Variable(
            variable,
            trainable=variable.trainable,
            dtype=variable.dtype.name,
            name=variable.name.partition(":")[0].replace("/", "_"),
        )
        # Keras before 3.9 copies the value into a variable of its own.
        wrapper._value = variable
        found.append(wrapper)
    return found


def check_flow(flow: tfd.Distribution) -> None:
    """Checks that a layer can pass to all parts of a flow what they need."""
    if not isinstance(flow, tfd.Distribution):
        raise TypeError(
            f"flow: expected a tfd.Distribution, got {type(flow).__name__}."
        )
    if flow.batch_shape.rank:
        raise ValueError(
            "flow: expected one distribution, got a batch of them, of batch_shape "
            f"{flow.batch_shape}; tfd.Independent makes of a batch the axes of an "
            "event."
        )
    inside = {id(m) for b in reached_bijectors(flow) for m in (b, *b.submodules)}
    for module in flow.submodules:
        if not isinstance(module, FusedBijector) or id(module) in inside:
            continue
        layers = [i for top in keras_layers(module) for i in top._flatten_layers()]
        has_norms = any(isinstance(layer, BatchMoments) for layer in layers)
        if module.condition_size is not None or has_norms:
            raise ValueError(
                "flow: expected flows without condition and with batch_norm=None "
                f"inside {flow.name!r}, which passes neither conditions on nor whether "
                f"it is trained; got {module.name!r}."
            )


def part_names(flow: tf.Module) -> list[tuple[Any, str]]:
    """Returns our bijectors and all Keras layers in a flow, each once, with names.

    A name is the way to the part in Python, for instance
    `flow.bijector.bijectors[0].network.conv_in`.
    """
    found: dict[int, tuple[Any, str]] = {}
    wanted = (FusedBijector, keras.layers.Layer)
    for path, part in flow._flatten(
        predicate=lambda value: isinstance(value, wanted), with_path=True
    ):
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
    # What TFP keeps in `_bijector` it shows as `bijector`.
    return "".join(
        f".{step.lstrip('_')}" if isinstance(step, str) else f"[{step!r}]"
        for step in path
    )


def _with_layers_inside(part: Any, name: str) -> Iterator[tuple[Any, str]]:
    yield part, name
    if not isinstance(part, keras.layers.Layer):
        return
    for attribute, value in vars(part).items():
        if attribute.startswith("_"):
            continue
        if isinstance(value, keras.layers.Layer):
            yield from _with_layers_inside(value, f"{name}.{attribute}")
        elif isinstance(value, list):
            for i, item in enumerate(value):
                if isinstance(item, keras.layers.Layer):
                    yield from _with_layers_inside(item, f"{name}.{attribute}[{i}]")


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

    # Past Keras's and TFP's own `__setattr__`, which would track the function.
    object.__setattr__(part, method, seen)
    try:
        yield
    finally:
        object.__delattr__(part, method)


@contextlib.contextmanager
def unchanged(variables: Sequence[keras.Variable]) -> Iterator[None]:
    """Gives the variables their values back at the end, also if something fails."""
    values = [tf.identity(v.value) for v in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
