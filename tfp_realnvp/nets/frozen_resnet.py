"""The residual network of an image coupling once it is trained."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.nets.batch_norm import BatchNormalization
from tfp_realnvp.nets.condition import check_condition
from tfp_realnvp.nets.features import features, features_shape
from tfp_realnvp.nets.frozen_conv import FrozenConv2D


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class FrozenResNet(keras.layers.Layer):
    """What a `ResNet` computes in inference, with fewer operations and no training.

    Kernels are normalized once and for all, and every batch normalization that
    follows a convolution is part of its kernel and bias. Those that follow a residual
    sum remain: the sum is needed as it is too.

    `ResNet.frozen()` makes one.

    Args:
      output_channels: Python `int`, channels of the output.
      filters: Python `int`, channels of the hidden layers.
      num_blocks: Python `int`, number of residual blocks.
      has_norms: Python `bool`, whether the network has batch normalizations.
      crelu: Python `bool`, as for `ResNet`.
      condition_size: Python `int`, length of the condition vectors, or `None`.
      **kwargs: Passed to `keras.layers.Layer`.
    """

    def __init__(
        self,
        output_channels: int,
        *,
        filters: int,
        num_blocks: int,
        has_norms: bool,
        crelu: bool = True,
        condition_size: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**{"trainable": False, **kwargs})
        self.output_channels = output_channels
        self.filters = filters
        self.num_blocks = num_blocks
        self.has_norms = has_norms
        self.crelu = crelu
        self.condition_size = condition_size

        def norm(name: str, affine: bool = True) -> keras.layers.Layer:
            if not has_norms:
                return keras.layers.Identity(dtype=self.dtype_policy, name=name)
            return BatchNormalization(
                affine=affine, dtype=self.dtype_policy, name=name, trainable=False
            )

        def conv(filters: int, size: int, name: str, use_bias: bool) -> FrozenConv2D:
            return FrozenConv2D(
                filters, size, use_bias=use_bias, dtype=self.dtype_policy, name=name
            )

        blocks = range(num_blocks)
        self.norm_in = norm("norm_in", affine=False)
        self.conv_in = conv(filters, 3, "conv_in", not has_norms)
        self.skips = [
            conv(filters, 1, f"skip_{i}", not has_norms or i == 0)
            for i in range(num_blocks + 1)
        ]
        self.block_norms = [norm(f"block_{i}_norm") for i in blocks]
        self.block_convs_in = [
            conv(filters, 3, f"block_{i}_conv_in", True) for i in blocks
        ]
        self.block_convs_out = [
            conv(filters, 3, f"block_{i}_conv_out", not has_norms) for i in blocks
        ]
        self.conv_out = conv(output_channels, 1, "conv_out", True)
        self.project = None
        if condition_size is not None:
            self.project = keras.layers.Dense(
                filters,
                use_bias=False,
                dtype=self.dtype_policy,
                name="project",
                trainable=False,
            )

    def build(
        self,
        inputs_shape: tuple[int | None, ...],
        context_shape: tuple[int | None, ...] | None = None,
        condition_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        self.input_spec = keras.layers.InputSpec(
            ndim=4, axes={-1: inputs_shape[-1]}, name="inputs"
        )
        hidden_shape = (*inputs_shape[:-1], self.filters)
        self.norm_in.build(inputs_shape)
        self.conv_in.build(features_shape(inputs_shape, context_shape, self.crelu))
        for layer in (
            *self.skips,
            *self.block_norms,
            *self.block_convs_in,
            *self.block_convs_out,
            self.conv_out,
        ):
            layer.build(hidden_shape)
        if self.project is not None:
            self.project.build((None, self.condition_size))
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        context: tf.Tensor | None = None,
        condition: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Returns the output maps, of shape [N, H, W, output_channels].

        Arguments as for `ResNet`; `training` has no meaning here.
        """
        check_condition(self, self.condition_size, condition)
        # Said, for what is not said Keras takes from the layer around.
        hidden = self.norm_in(inputs, training=False)
        hidden = self.conv_in(features(hidden, context, self.crelu))
        if self.project is not None:
            hidden += self.project(condition)[:, tf.newaxis, tf.newaxis, :]
        outputs = self.skips[0](hidden)
        for norm, conv_in, conv_out, skip in zip(
            self.block_norms,
            self.block_convs_in,
            self.block_convs_out,
            self.skips[1:],
            strict=True,
        ):
            change = tf.nn.relu(conv_in(tf.nn.relu(norm(hidden, training=False))))
            hidden += conv_out(change)
            outputs += skip(hidden)
        return self.conv_out(tf.nn.relu(outputs))

    def compute_output_shape(
        self,
        inputs_shape: tuple[int | None, ...],
        context_shape: tuple[int | None, ...] | None = None,
        condition_shape: tuple[int | None, ...] | None = None,
    ) -> tuple[int | None, ...]:
        return (*inputs_shape[:-1], self.output_channels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_channels": self.output_channels,
            "filters": self.filters,
            "num_blocks": self.num_blocks,
            "has_norms": self.has_norms,
            "crelu": self.crelu,
            "condition_size": self.condition_size,
        }
