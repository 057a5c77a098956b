"""A convolution whose kernel is computed already."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.nets.bias import add_bias
from tfp_realnvp.nets.weight_norm import conv2d


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class FrozenConv2D(keras.layers.Layer):
    """2-D convolution with a kernel that is what it is.

    Args:
      filters: Python `int`, number of output channels.
      kernel_size: Python `int`, side of the square kernel.
      use_bias: Python `bool`, whether to add a bias.
      **kwargs: Passed to `keras.layers.Layer`.
    """

    def __init__(
        self, filters: int, kernel_size: int, *, use_bias: bool = True, **kwargs: Any
    ):
        super().__init__(**{"trainable": False, **kwargs})
        self.filters = filters
        self.kernel_size = kernel_size
        self.use_bias = use_bias

    def build(self, inputs_shape: tuple[int | None, ...]) -> None:
        size = self.kernel_size
        self.input_spec = keras.layers.InputSpec(
            ndim=4, axes={-1: inputs_shape[-1]}, name="inputs"
        )
        # In the dtype of the computation: nobody will add small steps to it any more.
        self.kernel = self.add_weight(
            shape=(size, size, inputs_shape[-1], self.filters),
            dtype=self.compute_dtype,
            trainable=False,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.filters,),
                dtype=self.compute_dtype,
                trainable=False,
                name="bias",
            )
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        outputs = conv2d(inputs, tf.convert_to_tensor(self.kernel))
        return add_bias(outputs, self.bias) if self.use_bias else outputs

    def take(self, kernel: tf.Tensor, bias: tf.Tensor | None) -> None:
        """Sets the weights, of any floating dtype."""
        self.kernel.assign(tf.cast(kernel, self.compute_dtype))
        if self.use_bias:
            self.bias.assign(tf.cast(bias, self.compute_dtype))

    def compute_output_shape(
        self, inputs_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return (*inputs_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "use_bias": self.use_bias,
        }
