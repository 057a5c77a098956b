"""The dense network of a vector coupling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int, shortened
from tfp_realnvp.nets.parts import (
    ConfiguredLayer,
    add_bias,
    check_condition,
    spawn_seeds,
)


class Dense(keras.layers.Dense):
    """`keras.layers.Dense` whose bias has the right gradient in bfloat16.

    It has Keras's name because weight files contain class names.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        outputs = tf.matmul(inputs, tf.convert_to_tensor(self.kernel))
        if self.use_bias:
            outputs = add_bias(outputs, self.bias)
        return self.activation(outputs)


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class MLP(ConfiguredLayer):
    """Multi-layer perceptron, with residual connections if wanted.

    ```none
    h       = activation(dense(inputs) + project(condition))
    for every further hidden layer:
      h     = activation(dense(h)),   or  h + activation(dense(h))  if residual
    outputs = dense(h)
    ```

    The last layer starts small, so that a new flow is near the identity. Biases of the
    hidden layers are drawn, so that their units bend at different places.

    Args:
      output_units: Python `int`, length of the output vectors.
      hidden_units: Sequence of Python `int`s, the width of each hidden layer.
      activation: Name of a Keras activation, or a function.
      residual: Python `bool`, whether hidden layers add to their input; they must then
        be of equal width.
      condition_size: Python `int`, length of the condition vectors, or `None` if the
        network takes none.
      seed: Python `int` or `None`, seeds the initial weights.
      **kwargs: Passed to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument is invalid.

    #### Example

    ```python
    >>> import tensorflow as tf
    >>> from tfp_realnvp.nets import MLP
    >>> MLP(4, hidden_units=(32, 32), residual=True)(tf.zeros([8, 2])).shape
    TensorShape([8, 4])

    ```
    """

    def __init__(
        self,
        output_units: int,
        *,
        hidden_units: Sequence[int],
        activation: Any = "gelu",
        residual: bool = False,
        condition_size: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_int("output_units", output_units)
        widths = hidden_units if isinstance(hidden_units, Sequence) else ()
        are_ints = all(isinstance(w, (int, np.integer)) and w > 0 for w in widths)
        if not widths or not are_ints:
            raise ValueError(
                "hidden_units: expected a sequence of positive ints such as (64, 64), "
                f"got {shortened(hidden_units)}."
            )
        # Vectors of length 1 would broadcast.
        if residual and len(set(hidden_units)) > 1:
            raise ValueError(
                "hidden_units: expected equal widths with residual=True, got "
                f"{tuple(hidden_units)}."
            )
        self.output_units = output_units
        self.hidden_units = tuple(hidden_units)
        self.activation = keras.activations.get(activation)
        self.residual = residual
        self.condition_size = condition_size
        self.seed = seed
        *kernel_seeds, bias_seed = spawn_seeds(seed, len(self.hidden_units) + 3)
        self._bias_seeds = spawn_seeds(bias_seed, len(self.hidden_units))
        seeds = iter(kernel_seeds)

        def dense(units: int, name: str, scale: float = 1.0, **kwargs: Any) -> Dense:
            initializer = keras.initializers.VarianceScaling(scale, seed=next(seeds))
            return Dense(
                units,
                kernel_initializer=initializer,
                dtype=self.dtype_policy,
                name=name,
                **kwargs,
            )

        self.hidden = [
            dense(units, f"hidden_{i}") for i, units in enumerate(self.hidden_units)
        ]
        self.output_layer = dense(output_units, "output", scale=1e-4)
        self.project = None
        if condition_size is not None:
            self.project = dense(self.hidden_units[0], "project", use_bias=False)

    def build(
        self,
        inputs_shape: tuple[int | None, ...],
        condition_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        self.input_spec = keras.layers.InputSpec(
            min_ndim=2, axes={-1: inputs_shape[-1]}, name="inputs"
        )
        if isinstance(self.activation, keras.layers.Layer):
            self.activation.build((None, self.hidden_units[0]))
            if self.activation.weights:
                raise ValueError(
                    "activation: expected a function without weights, which all "
                    f"couplings would share; got {shortened(self.activation)}."
                )
        shape = inputs_shape
        for layer, seed in zip(self.hidden, self._bias_seeds, strict=True):
            # With zero biases all units would bend at 0, and a network with few inputs
            # would need long to learn functions that bend elsewhere.
            limit = cast(int, shape[-1]) ** -0.5
            layer.bias_initializer = keras.initializers.RandomUniform(
                -limit, limit, seed=seed
            )
            layer.build(shape)
            shape = (*inputs_shape[:-1], layer.units)
        self.output_layer.build(shape)
        if self.project is not None:
            self.project.build((None, self.condition_size))
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        condition: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Returns the output vectors, of shape [N, output_units]."""
        check_condition(self, self.condition_size, condition)
        first, *others = self.hidden
        hidden = first(inputs)
        if self.project is not None:
            hidden += self.project(condition)
        hidden = self.activation(hidden)
        for layer in others:
            change = self.activation(layer(hidden))
            hidden = hidden + change if self.residual else change
        return self.output_layer(hidden)

    def compute_output_shape(
        self,
        inputs_shape: tuple[int | None, ...],
        condition_shape: tuple[int | None, ...] | None = None,
    ) -> tuple[int | None, ...]:
        return (*inputs_shape[:-1], self.output_units)
