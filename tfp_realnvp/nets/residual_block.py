"""The residual block of a coupling's network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import keras
import tensorflow as tf

from tfp_realnvp.arguments import check_int
from tfp_realnvp.nets.batch_norm import BatchNormalization
from tfp_realnvp.nets.checks import (
    check_network,
    check_norm,
    check_res_net_fits,
    checked_regularizer,
)
from tfp_realnvp.nets.parts import spawn_seeds
from tfp_realnvp.nets.weight_norm import WeightNormConv2D, short_direction


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class ResidualBlock(keras.layers.Layer):
    """Pre-activation residual block of two 3x3 weight-normalized convolutions.

    ```none
    outputs = inputs + conv(relu(norm(conv(relu(norm(inputs))))))
    ```

    Args:
      filters: Python `int`, number of channels in and out.
      batch_norm: `"batch"`, `"moving"` (see `BatchMoments`) or `None` for no batch
        normalization.
      momentum: Python `float`, momentum of the moving averages.
      magnitude_regularizer: Keras regularizer of the closing convolution's magnitude.
      seed: Python `int` or `None`, seeds the initial weights.
      **kwargs: Passed to `keras.layers.Layer`.
    """

    def __init__(
        self,
        filters: int,
        *,
        batch_norm: Literal["batch", "moving"] | None = "batch",
        momentum: float = 0.9,
        magnitude_regularizer: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_int("filters", filters)
        check_norm(batch_norm, momentum)
        check_network(None, seed, width=filters)
        check_res_net_fits(filters, 1, 1)
        self.input_spec = keras.layers.InputSpec(
            ndim=4, axes={-1: filters}, name="inputs"
        )
        self.filters = filters
        self.batch_norm = batch_norm
        self.momentum = momentum
        self.magnitude_regularizer = checked_regularizer(
            "magnitude_regularizer", magnitude_regularizer
        )
        self.seed = seed
        seeds = spawn_seeds(seed, 2)
        make_norm = norm_factory(batch_norm, momentum, self.dtype_policy)
        self.norm_in = make_norm("norm_in")
        self.conv_in = WeightNormConv2D(
            filters,
            learn_magnitude=False,
            use_bias=batch_norm is None,
            direction_initializer=short_direction(seeds[0]),
            dtype=self.dtype_policy,
            name="conv_in",
        )
        self.norm_out = make_norm("norm_out")
        self.conv_out = WeightNormConv2D(
            filters,
            use_bias=batch_norm is None,
            magnitude_regularizer=self.magnitude_regularizer,
            direction_initializer=short_direction(seeds[1]),
            dtype=self.dtype_policy,
            name="conv_out",
        )

    def build(self, inputs_shape: tuple[int | None, ...]) -> None:
        for layer in (self.norm_in, self.conv_in, self.norm_out, self.conv_out):
            layer.build(inputs_shape)
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        hidden = tf.nn.relu(self.norm_in(inputs, training=training))
        if training:
            hidden = self.norm_out(self.conv_in(hidden), training=True)
        else:
            hidden = self.conv_in.scaled_and_shifted(hidden, *self._norm_out())
        return inputs + self.conv_out(tf.nn.relu(hidden))

    def _norm_out(self) -> tuple[tf.Tensor, ...]:
        """Returns scale and offset of `norm_out` in inference, if it has any."""
        return () if self.batch_norm is None else self.norm_out.scale_and_offset()

    def compute_output_shape(
        self, inputs_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "batch_norm": self.batch_norm,
            "momentum": self.momentum,
            "magnitude_regularizer": keras.regularizers.serialize(
                self.magnitude_regularizer
            ),
            "seed": self.seed,
        }


def norm_factory(
    batch_norm: Literal["batch", "moving"] | None, momentum: float, dtype: Any
) -> Callable[..., keras.layers.Layer]:
    """Returns a function that makes one normalization layer of a network."""

    def make_norm(name: str, affine: bool = True) -> keras.layers.Layer:
        if batch_norm is None:
            return keras.layers.Identity(dtype=dtype, name=name)
        return BatchNormalization(
            batch_norm, momentum=momentum, affine=affine, dtype=dtype, name=name
        )

    return make_norm
