"""Finding what a distribution has to train, in terms of Keras."""

from __future__ import annotations

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.bijectors import FusedBijector
from tfp_realnvp.flows.call_arguments import reached_bijectors
from tfp_realnvp.nets import BatchMoments


def keras_layers(module: tf.Module) -> list[keras.layers.Layer]:
    """Returns the Keras layers held anywhere in `module`, each once."""
    found = module._flatten(
        predicate=lambda value: isinstance(value, keras.layers.Layer)
    )
    return list({id(layer): layer for layer in found}.values())


def other_variables(module: tf.Module) -> list[keras.Variable]:
    """Returns the variables of `module` that belong to no Keras layer.

    Returns:
      Keras variables that are the given ones under another class, not copies.
    """
    in_layers = {id(v.value) for layer in keras_layers(module) for v in layer.weights}
    others = {id(v): v for v in module.variables if id(v) not in in_layers}
    found = []
    for variable in others.values():
        wrapper = keras.Variable(
            variable,
            trainable=variable.trainable,
            dtype=variable.dtype.name,
            name=variable.name.partition(":")[0].replace("/", "_"),
        )
        # Keras before 3.9 copies the value into a variable of its own.
        wrapper._value = variable
        found.append(wrapper)
    return found


def check_reached(flow: tfd.Distribution) -> None:
    """Checks that `training` and `condition` reach all that needs them.

    Raises:
      ValueError: If the distribution holds a conditional or batch-normalized bijector
        and does not pass arguments on to it.
    """
    reached = reached_bijectors(flow)
    inside = {id(m) for b in reached for m in (b, *b.submodules)}
    for module in flow.submodules:
        if not isinstance(module, FusedBijector) or id(module) in inside:
            continue
        if module.condition_size is not None:
            raise ValueError(
                f"flow: expected flows without condition inside {flow.name!r}, which "
                f"does not pass conditions on; got {module.name!r}."
            )
        norms = [
            layer
            for top in keras_layers(module)
            for layer in top._flatten_layers()
            if isinstance(layer, BatchMoments)
        ]
        if norms:
            raise ValueError(
                f"flow: expected flows with batch_norm=None inside {flow.name!r}, "
                "which does not tell its parts when they are trained; got "
                f"{module.name!r} with batch normalization."
            )


def check_strategy(flow: tfd.Distribution) -> None:
    """Checks that the variables were made under the strategy that is in force.

    Raises:
      ValueError: If there is a strategy and a variable was not made in its scope.
    """
    if not tf.distribute.has_strategy():
        return
    strategy = tf.distribute.get_strategy()
    for variable in flow.variables:
        if not strategy.extended.variable_created_in_scope(variable):
            raise ValueError(
                "flow: expected one made in the scope of the same "
                f"{type(strategy).__name__} as the model, got variables from outside "
                f"of it, {variable.name!r} for one."
            )
