"""Batch normalization inside the networks, in either variant of the paper."""

from __future__ import annotations

from typing import Any, Literal

import keras
import tensorflow as tf

from tfp_realnvp.arguments import check_flag
from tfp_realnvp.nets.batch_moments import BatchMoments
from tfp_realnvp.nets.checks import check_epsilon
from tfp_realnvp.nets.fused_norm import (
    has_fused_norm,
    norm_by,
    norm_by_batch,
    norm_by_moving,
)
from tfp_realnvp.nets.replicas import num_replicas


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class BatchNormalization(keras.layers.Layer):
    """Per-channel normalization, scale and offset of a network's activations.

    ```none
    outputs = scale * (inputs - mean) / sqrt(variance + epsilon) + offset
    ```

    It differs from `keras.layers.BatchNormalization` in where `mean` and `variance`
    come from: see `BatchMoments`, which follows Section 3.7 or Appendix E of the
    paper and counts all replicas of a `tf.distribute` strategy as one batch.

    Args:
      normalize_by: `"batch"` or `"moving"`, see `BatchMoments`.
      momentum: Python `float`, momentum of the moving averages.
      epsilon: Python `float` added to the variance.
      affine: Python `bool`, whether to learn `scale` and `offset`.
      **kwargs: Passed to `keras.layers.Layer`.
    """

    def __init__(
        self,
        normalize_by: Literal["batch", "moving"] = "batch",
        *,
        momentum: float = 0.9,
        epsilon: float = 1e-4,
        affine: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_epsilon(epsilon)
        check_flag("affine", affine)
        self.moments = BatchMoments(
            normalize_by, momentum=momentum, dtype=self.dtype_policy, name="moments"
        )
        self.epsilon = float(epsilon)
        self.affine = affine

    def build(self, inputs_shape: tuple[int | None, ...]) -> None:
        self.input_spec = keras.layers.InputSpec(
            axes={-1: inputs_shape[-1]}, name="inputs"
        )
        self.moments.build(inputs_shape)
        if self.affine:
            channels = (inputs_shape[-1],)
            self.scale = self.add_weight(
                shape=channels, initializer="ones", autocast=False, name="scale"
            )
            self.offset = self.add_weight(
                shape=channels, initializer="zeros", autocast=False, name="offset"
            )
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        # Frozen is in inference mode, as in Keras.
        training = training and self.moments.trainable
        if has_fused_norm(inputs):
            # A single pixel can be the only value of a channel, see `BatchMoments`.
            has_many = inputs.shape[1:3].as_list() != [1, 1]
            if not training or (num_replicas() == 1 and has_many):
                return self._fused(inputs, training)
        scale, offset = self._scale_and_offset(*self.moments(inputs, training=training))
        # In bfloat16 the two terms would cancel badly where the mean is large, and
        # the gradient of `scale` would be off by percents.
        outputs = tf.cast(inputs, self.variable_dtype) * scale + offset
        return tf.cast(outputs, inputs.dtype)

    def scale_and_offset(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what inference multiplies by and adds, each of shape [channels].

        A convolution before the normalization can take them over.
        """
        return self._scale_and_offset(*self.moments.moving())

    def _scale_and_offset(
        self, mean: tf.Tensor, variance: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        scale = tf.math.rsqrt(variance + self.epsilon)
        if not self.affine:
            return scale, -mean * scale
        scale *= tf.convert_to_tensor(self.scale)
        return scale, tf.convert_to_tensor(self.offset) - mean * scale

    def _fused(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        channels = inputs.shape[-1]
        scale, offset = tf.ones([channels]), tf.zeros([channels])
        if self.affine:
            scale = tf.convert_to_tensor(self.scale)
            offset = tf.convert_to_tensor(self.offset)
        moments = self.moments
        if not training:
            mean, variance = moments.moving()
            return norm_by(inputs, scale, offset, mean, variance, self.epsilon)
        if moments.normalize_by == "batch":
            outputs, mean, variance = norm_by_batch(inputs, scale, offset, self.epsilon)
            moments.update(mean, variance)
            return outputs
        outputs, mean, variance = norm_by_moving(
            inputs, scale, offset, *moments.moving(), moments.momentum, self.epsilon
        )
        moments.assign(mean, variance)
        return outputs

    def compute_output_shape(
        self, inputs_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "normalize_by": self.moments.normalize_by,
            "momentum": self.moments.momentum,
            "epsilon": self.epsilon,
            "affine": self.affine,
        }
