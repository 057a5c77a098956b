"""What networks have in common, and the replicas that share a batch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf


class ConfiguredLayer(keras.layers.Layer):
    """A layer that keeps the arguments of its constructor under their names."""

    def get_config(self) -> dict[str, Any]:
        found = {name: _plain(value) for name, value in self.arguments().items()}
        return {**super().get_config(), **found}

    def arguments(self) -> dict[str, Any]:
        """Returns the constructor's arguments, except those that Keras keeps."""
        classes = type(self).__mro__[: type(self).__mro__.index(ConfiguredLayer)]
        inits = [vars(c)["__init__"] for c in classes if "__init__" in vars(c)]
        names = [name for init in inits for name in inspect.signature(init).parameters]
        return {name: getattr(self, name) for name in names if hasattr(self, name)}


# Packages whose objects are defined by arguments and weights alone.
_KNOWN = ("tfp_realnvp", "keras")


def structure(value: Any) -> Hashable:
    """Returns a key that is equal for values that differ only in weights.

    It is `None` if there are users' layers inside, about which nothing is known.
    """
    try:
        return _structure(value)
    except TypeError:
        return None


def _structure(value: Any) -> Hashable:
    if isinstance(value, type) and value.__module__.split(".")[0] not in _KNOWN:
        raise TypeError(value)
    if isinstance(value, ConfiguredLayer):
        names = {*value.arguments()} - {"name", "seed", "dtype"}
        inside = [
            (
                _structure(type(layer)),
                layer.trainable,
                layer.dtype_policy.name,
                getattr(layer, "activation", None),
                getattr(layer, "normalize", None),
            )
            for layer in value._flatten_layers()
        ]
        return _structure({name: getattr(value, name) for name in names}), tuple(inside)
    if isinstance(value, keras.layers.Layer):
        raise TypeError(value)
    if isinstance(value, (keras.Regularizer, keras.Initializer)):
        # These do not affect what a layer computes.
        return None
    if isinstance(value, functools.partial):
        return value.func, _structure(value.args), _structure(value.keywords)
    if isinstance(value, dict):
        return tuple((name, _structure(value[name])) for name in sorted(value))
    if isinstance(value, (list, tuple)):
        return tuple(map(_structure, value))
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.name, value.tobytes()
    hash(value)
    return value


def _plain(value: Any) -> Any:
    # The name alone identifies one of Keras's own activations.
    if inspect.isfunction(value):
        return keras.activations.serialize(value)
    return keras.saving.serialize_keras_object(value)


def frozen_parts(layers: Sequence[keras.layers.Layer]) -> list[int]:
    """Returns which of the layers, and of all within them, are not trainable."""
    return [i for i, part in enumerate(_parts(layers)) if not part.trainable]


def freeze_parts(layers: Sequence[keras.layers.Layer], frozen: Sequence[int]) -> None:
    """Makes trainable all but what `frozen_parts` has returned."""
    parts = _parts(layers)
    for part in parts:
        # Setting what is set already would not reach the layers within.
        part.trainable = False
        part.trainable = True
    for i in frozen:
        parts[i].trainable = False


def _parts(layers: Sequence[keras.layers.Layer]) -> list[keras.layers.Layer]:
    return [part for layer in layers for part in layer._flatten_layers()]


def spawn_seeds(seed: int | None, count: int) -> list[int | None]:
    """Returns `count` seeds derived from `seed`; all `None` if it is `None`."""
    if seed is None:
        return [None] * count
    return [int(s) for s in np.random.SeedSequence(seed).generate_state(count)]


def check_condition(
    network: keras.layers.Layer, condition_size: int | None, condition: Any
) -> None:
    """Raises `ValueError` if `condition` is missing, unwanted or of another length."""
    if (None if condition is None else condition.shape[-1]) != condition_size:
        expected = "None" if condition_size is None else f"shape (N, {condition_size})"
        got = "None" if condition is None else f"shape {tuple(condition.shape)}"
        raise ValueError(
            f"condition: expected {expected} for the network {network.name!r} with "
            f"condition_size={condition_size}, got {got}."
        )


def add_bias(outputs: tf.Tensor, bias: Any) -> tf.Tensor:
    """Returns `outputs + bias`, for a bias of shape [channels]."""
    bias = tf.cast(bias, outputs.dtype)
    # On a CPU the gradient of `tf.nn.bias_add` sums up in the dtype of `outputs`: in
    # bfloat16, over 1024 rows, it is off by 20 %. That of a plain sum is not.
    if outputs.dtype in (tf.float32, tf.float64):
        return tf.nn.bias_add(outputs, bias)
    return outputs + bias


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class L2(keras.regularizers.L2):
    """`keras.regularizers.L2` in a graph of a third of the operations.

    Keras's sum of a scalar, such as a gain, makes TensorFlow evaluate its axes while it
    traces, each time with a copy of all that is traced already: for the ten gains of
    the `cifar10` preset that was a tenth of the tracing.
    """

    def __call__(self, x: Any) -> tf.Tensor:
        return 2 * self.l2 * tf.nn.l2_loss(tf.convert_to_tensor(x))


def takes(layer: keras.layers.Layer, argument: str) -> bool:
    """Whether a layer, and the `network` within it if any, can be given an argument."""
    takes_it = argument in inspect.signature(layer.call).parameters
    inner = getattr(layer, "network", None)
    if takes_it and isinstance(inner, keras.layers.Layer):
        return takes(inner, argument)
    return takes_it


def build(
    layer: keras.layers.Layer,
    inputs_shape: Sequence[int | None],
    shapes: Mapping[str, Sequence[int | None]],
) -> None:
    """Creates the weights of a layer, with or without a method `build`, once.

    `shapes` are those of further arguments by their names, the batch first.
    """
    if layer.built:
        return

    def tensor(shape: Sequence[int | None]) -> keras.KerasTensor:
        return keras.KerasTensor(tuple(shape), layer.variable_dtype)

    layer(tensor(inputs_shape), **{name: tensor(s) for name, s in shapes.items()})


class GlobalBatch(NamedTuple):
    """Number of examples on all replicas, and on those before this one."""

    size: tf.Tensor
    start: tf.Tensor


def num_replicas() -> int:
    """Returns the number of replicas that work on one batch together."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def sum_over_replicas(value: Any) -> Any:
    """Returns the sum of `value`, a `Tensor` or a list of them, over all replicas."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return value
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, value)


def global_batch(local_size: tf.Tensor) -> GlobalBatch:
    """Returns the global batch, given this replica's number of examples, maybe 0."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return GlobalBatch(local_size, tf.zeros([], tf.int32))
    number = tf.cast(replica.replica_id_in_sync_group, tf.int32)
    numbers = tf.range(replica.num_replicas_in_sync)
    sizes = sum_over_replicas(tf.where(numbers == number, local_size, 0))
    before = tf.where(numbers < number, sizes, 0)
    return GlobalBatch(tf.reduce_sum(sizes), tf.reduce_sum(before))
