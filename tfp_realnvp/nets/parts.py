"""What networks are made of besides their convolutions and normalizations."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf


def spawn_seeds(seed: int | None, count: int) -> list[int | None]:
    """Returns `count` seeds derived from `seed`; all `None` if it is `None`."""
    if seed is None:
        return [None] * count
    return [int(s) for s in np.random.SeedSequence(seed).generate_state(count)]


def check_condition(
    network: keras.layers.Layer,
    condition_size: int | None,
    condition: tf.Tensor | None,
) -> None:
    """Raises `ValueError` if `condition` is missing, unwanted or of another length."""
    expected = "None" if condition_size is None else f"shape (N, {condition_size})"
    got = "None" if condition is None else f"shape {tuple(condition.shape)}"
    if condition_size is None:
        fits = condition is None
    else:
        fits = condition is not None and condition.shape[-1] == condition_size
    if not fits:
        raise ValueError(
            f"condition: expected {expected} for the network {network.name!r} with "
            f"condition_size={condition_size}, got {got}."
        )


def features(hidden: tf.Tensor, context: tf.Tensor | None, crelu: bool) -> tf.Tensor:
    """Returns [relu(h), relu(-h), context], or without `crelu` [h, context]."""
    parts = [tf.nn.relu(hidden), tf.nn.relu(-hidden)] if crelu else [hidden]
    if context is not None:
        parts.append(tf.cast(context, hidden.dtype))
    return tf.concat(parts, axis=-1)


def features_shape(
    inputs_shape: tuple[int | None, ...],
    context_shape: tuple[int | None, ...] | None,
    crelu: bool,
) -> tuple[int | None, ...]:
    """Returns the shape of `features` for inputs and context of the given shapes."""
    # The layers before it have weights for each channel: their number is known.
    channels = cast(int, inputs_shape[-1]) * (2 if crelu else 1)
    context_channels = cast(int, context_shape[-1]) if context_shape else 0
    return (*inputs_shape[:-1], channels + context_channels)


def add_bias(outputs: tf.Tensor, bias: Any) -> tf.Tensor:
    """Returns `outputs + bias`, for a bias of shape [channels].

    On a CPU the gradient of `tf.nn.bias_add` sums up in the dtype of `outputs`: in
    bfloat16, over 1024 rows, it is off by 20 %. That of a plain sum is not.
    """
    bias = tf.cast(bias, outputs.dtype)
    if outputs.dtype in (tf.float32, tf.float64):
        return tf.nn.bias_add(outputs, bias)
    return outputs + bias


class Dense(keras.layers.Dense):
    """`keras.layers.Dense` whose bias has the right gradient in bfloat16.

    The name is Keras's, for files of weights hold names of classes.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        outputs = tf.matmul(inputs, tf.convert_to_tensor(self.kernel))
        if self.use_bias:
            outputs = add_bias(outputs, self.bias)
        return self.activation(outputs)


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class L2(keras.regularizers.L2):
    """`keras.regularizers.L2` in a graph of a third of the operations.

    ```none
    penalty = l2 * sum(square(x))
    ```

    Keras's sum of a scalar, such as a gain, makes TensorFlow evaluate its axes while it
    traces, each time with a copy of all that is traced already: for the ten gains of
    the `cifar10` preset that was a tenth of the tracing.

    Args:
      l2: Python `float`, weight of the squares.
    """

    def __call__(self, x: Any) -> tf.Tensor:
        return 2 * self.l2 * tf.nn.l2_loss(tf.convert_to_tensor(x))


def takes(layer: keras.layers.Layer, argument: str) -> bool:
    """Whether a layer can be called with a keyword argument.

    A head, a layer around the `network` that it hands its arguments to, can if that
    network can.
    """
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
    """Makes the weights of a layer, whether it has a method `build` or not.

    Args:
      layer: Any Keras layer; one that is built stays as it is.
      inputs_shape: Shape of its input, the batch first.
      shapes: Shapes of further arguments by their names.
    """
    if layer.built:
        return

    def tensor(shape: Sequence[int | None]) -> keras.KerasTensor:
        return keras.KerasTensor(tuple(shape), layer.variable_dtype)

    layer(tensor(inputs_shape), **{name: tensor(s) for name, s in shapes.items()})
