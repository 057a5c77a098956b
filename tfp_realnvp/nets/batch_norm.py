"""Batch normalization inside the networks, in either variant of the paper."""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
import tensorflow as tf

from tfp_realnvp.arguments import check_choice, check_number
from tfp_realnvp.nets.fused_norm import (
    norm_by,
    norm_by_batch,
    norm_by_moving,
    num_positions,
)
from tfp_realnvp.nets.parts import ConfiguredLayer, num_replicas, sum_over_replicas


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class BatchMoments(ConfiguredLayer):
    """Per-channel mean and variance, of the batch or as moving averages.

    With `mean_t`, `variance_t` the moments of the current batch, taken over all
    axes but the last and over all replicas of a `tf.distribute` strategy, each
    call with `training=True` updates the moving averages (Eq. 15-16):

    ```none
    moving_mean     <- momentum * moving_mean     + (1 - momentum) * mean_t
    moving_variance <- momentum * moving_variance + (1 - momentum) * variance_t
    ```

    and returns `mean_t, variance_t` if `normalize_by="batch"` (Section 3.7), or
    the moving averages just updated if `normalize_by="moving"` (Appendix E), with
    gradients only through the current batch's part of them. With `training=False`, or
    when it is not `trainable`, it returns the moving averages; in training too for a
    channel with a single value in the batch, which has no variance.

    Args:
      normalize_by: `"batch"` or `"moving"`.
      momentum: Python `float` in [0, 1), the paper's rho.
      **kwargs: Passed to `keras.layers.Layer`.

    Raises:
      ValueError: If `normalize_by` or `momentum` is not one of the above.

    #### References

    [1]: Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio. Density estimation using
         Real NVP, Section 3.7 and Appendix E. https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        normalize_by: Literal["batch", "moving"] = "batch",
        *,
        momentum: float = 0.9,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_choice("normalize_by", normalize_by, ("batch", "moving"))
        check_momentum(momentum)
        self.normalize_by = normalize_by
        self.momentum = momentum

    def build(self, inputs_shape: tuple[int | None, ...]) -> None:
        channels = inputs_shape[-1]
        self.input_spec = keras.layers.InputSpec(axes={-1: channels}, name="inputs")
        self.moving_mean, self.moving_variance = (
            self.add_weight(
                shape=(channels,),
                initializer=initializer,
                trainable=False,
                autocast=False,
                name=name,
            )
            for name, initializer in (
                ("moving_mean", "zeros"),
                ("moving_variance", "ones"),
            )
        )
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        weights: tf.Tensor | None = None,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mean and variance to normalize by, each of shape [channels].

        `weights` of 0 and 1 broadcast against the inputs and say which entries count. A
        channel without any gets mean and variance 0.
        """
        if not training or not self.trainable:
            return self.moving()
        mean, variance, count = _moments(tf.cast(inputs, self.variable_dtype), weights)
        mean, variance = (
            tf.where(tf.equal(count, 1), average, value)
            for average, value in zip(self.moving(), (mean, variance), strict=True)
        )
        moving = self.update(mean, variance)
        return moving if self.normalize_by == "moving" else (mean, variance)

    def moving(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the moving averages of mean and variance."""
        mean, variance = self.moving_mean, self.moving_variance
        return tf.convert_to_tensor(mean), tf.convert_to_tensor(variance)

    def update(
        self, mean: tf.Tensor, variance: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Moves the averages towards the batch's moments and returns them."""
        averages = (self.moving_mean, mean), (self.moving_variance, variance)
        mean, variance = (
            self.momentum * average.value + (1 - self.momentum) * value
            for average, value in averages
        )
        self.assign(mean, variance)
        return mean, variance

    def assign(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        """Sets the moving averages."""
        self.moving_mean.assign(mean)
        self.moving_variance.assign(variance)


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class BatchNormalization(ConfiguredLayer):
    """Per-channel normalization, scale and offset of a network's activations.

    ```none
    outputs = scale * (inputs - mean) / sqrt(variance + epsilon) + offset
    ```

    Unlike in `keras.layers.BatchNormalization`, `mean` and `variance` come from
    `BatchMoments`, which follows Section 3.7 or Appendix E of the paper and treats the
    replicas of a `tf.distribute` strategy as one batch.

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
        self.normalize_by = normalize_by
        self.momentum = momentum
        self.moments = BatchMoments(
            normalize_by, momentum=momentum, dtype=self.dtype_policy, name="moments"
        )
        self.epsilon = float(epsilon)
        self.affine = affine

    def build(self, inputs_shape: tuple[int | None, ...]) -> None:
        channels = inputs_shape[-1]
        self.input_spec = keras.layers.InputSpec(axes={-1: channels}, name="inputs")
        self.moments.build(inputs_shape)
        if self.affine:
            self.scale = self.add_weight(
                shape=(channels,), initializer="ones", autocast=False, name="scale"
            )
            self.offset = self.add_weight(
                shape=(channels,), initializer="zeros", autocast=False, name="offset"
            )
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        # Frozen layers are in inference mode, as in Keras.
        training = training and self.moments.trainable
        # TensorFlow's fused kernels save passes; they take images, not in float64.
        if inputs.shape.rank == 4 and inputs.dtype != tf.float64:
            # A channel can have a single value in the batch, see `BatchMoments`.
            has_many = inputs.shape[1:3].as_list() != [1, 1]
            if not training or (num_replicas() == 1 and has_many):
                return self._fused(inputs, training)
        scale, offset = self._scale_and_offset(*self.moments(inputs, training=training))
        # In bfloat16 the two terms would cancel badly where the mean is large, and
        # the gradient of `scale` would be off by percents.
        outputs = tf.cast(inputs, self.variable_dtype) * scale + offset
        return tf.cast(outputs, inputs.dtype)

    def scale_and_offset(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the factor and offset of inference, each of shape [channels].

        A convolution before the normalization can absorb them.
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
        moments, epsilon = self.moments, self.epsilon
        if not training:
            return norm_by(inputs, scale, offset, *moments.moving(), epsilon)
        if moments.normalize_by == "batch":
            outputs, mean, variance = norm_by_batch(inputs, scale, offset, epsilon)
            moments.update(mean, variance)
            return outputs
        outputs, mean, variance = norm_by_moving(
            inputs, scale, offset, *moments.moving(), moments.momentum, epsilon
        )
        moments.assign(mean, variance)
        return outputs


def check_momentum(momentum: Any) -> None:
    """Raises `ValueError` unless `momentum` is a number in [0, 1)."""
    most = math.nextafter(1.0, 0.0)
    check_number("momentum", momentum, least=0, most=most, expected="a value in [0, 1)")


def check_epsilon(epsilon: Any) -> None:
    """Raises `ValueError` unless `epsilon` is a number, 0 or more."""
    check_number("epsilon", epsilon, least=0, expected="0 or more, and finite")


def _moments(
    inputs: tf.Tensor, weights: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns mean, variance and number of a channel's entries, of all replicas."""
    rank = inputs.shape.rank
    axes = list(range(rank - 1))
    if weights is None:
        weights = tf.ones([1] * rank, inputs.dtype)
    weights = tf.cast(weights, inputs.dtype)
    weights = weights[(tf.newaxis,) * (rank - weights.shape.rank)]
    # How many input positions each position of `weights` applies to.
    repeats = tf.cast(num_positions(inputs) // num_positions(weights), inputs.dtype)
    count = sum_over_replicas(repeats * tf.reduce_sum(weights, axes))
    total = sum_over_replicas(tf.reduce_sum(inputs * weights, axes))
    mean = tf.math.divide_no_nan(total, count)
    squares = tf.square(inputs - mean) * weights
    total = sum_over_replicas(tf.reduce_sum(squares, axes))
    return mean, tf.math.divide_no_nan(total, count), count
