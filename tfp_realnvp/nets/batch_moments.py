"""The mean and variance that a batch normalization divides by."""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
import tensorflow as tf

from tfp_realnvp.arguments import check_choice
from tfp_realnvp.nets.checks import check_momentum
from tfp_realnvp.nets.replicas import sum_over_replicas


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class BatchMoments(keras.layers.Layer):
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
    when it is not `trainable`, it returns the moving averages; so it does in training
    for a channel of which a batch has a single value, which tells no variance.

    Args:
      normalize_by: `"batch"` or `"moving"`.
      momentum: Python `float` in [0, 1), the paper's rho.
      **kwargs: Passed to `keras.layers.Layer`.

    Raises:
      ValueError: If `normalize_by` or `momentum` is none of the above.

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
        self.input_spec = keras.layers.InputSpec(
            axes={-1: inputs_shape[-1]}, name="inputs"
        )
        channels = (inputs_shape[-1],)
        self.moving_mean = self.add_weight(
            shape=channels,
            initializer="zeros",
            trainable=False,
            autocast=False,
            name="moving_mean",
        )
        self.moving_variance = self.add_weight(
            shape=channels,
            initializer="ones",
            trainable=False,
            autocast=False,
            name="moving_variance",
        )
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        weights: tf.Tensor | None = None,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mean and variance to normalize by, each of shape [channels].

        Args:
          inputs: `Tensor` of shape [..., channels].
          weights: `Tensor` of 0 and 1 that broadcasts against `inputs`: the entries
            that count. A channel without any gets mean and variance 0.
          training: Python `bool`.
        """
        if not training or not self.trainable:
            return self.moving()
        mean, variance, count = self._batch_moments(
            tf.cast(inputs, self.variable_dtype), weights
        )
        mean, variance = (
            tf.where(tf.equal(count, 1), average, value)
            for average, value in zip(self.moving(), (mean, variance), strict=True)
        )
        moving = self.update(mean, variance)
        return moving if self.normalize_by == "moving" else (mean, variance)

    def moving(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the moving averages of mean and variance."""
        return (
            tf.convert_to_tensor(self.moving_mean),
            tf.convert_to_tensor(self.moving_variance),
        )

    def update(
        self, mean: tf.Tensor, variance: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Moves the averages towards the batch's moments and returns them."""
        moved = [
            self.momentum * average.value + (1 - self.momentum) * value
            for average, value in (
                (self.moving_mean, mean),
                (self.moving_variance, variance),
            )
        ]
        self.assign(*moved)
        return moved[0], moved[1]

    def assign(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        """Sets the moving averages."""
        self.moving_mean.assign(mean)
        self.moving_variance.assign(variance)

    def _batch_moments(
        self, inputs: tf.Tensor, weights: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        axes = list(range(inputs.shape.rank - 1))
        if weights is None:
            weights = tf.ones([1] * inputs.shape.rank, inputs.dtype)
        weights = tf.cast(weights, inputs.dtype)
        weights = weights[(tf.newaxis,) * (inputs.shape.rank - weights.shape.rank)]
        # How many input positions each position of `weights` stands for.
        repeats = _count_positions(inputs) // _count_positions(weights)
        count = tf.cast(repeats, inputs.dtype) * tf.reduce_sum(weights, axes)
        count = sum_over_replicas(count)
        total = sum_over_replicas(tf.reduce_sum(inputs * weights, axes))
        mean = tf.math.divide_no_nan(total, count)
        squares = tf.square(inputs - mean) * weights
        total = sum_over_replicas(tf.reduce_sum(squares, axes))
        return mean, tf.math.divide_no_nan(total, count), count

    def compute_output_shape(
        self,
        inputs_shape: tuple[int | None, ...],
        weights_shape: tuple[int | None, ...] | None = None,
    ) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
        return (inputs_shape[-1],), (inputs_shape[-1],)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "normalize_by": self.normalize_by,
            "momentum": self.momentum,
        }


def _count_positions(value: tf.Tensor) -> int | tf.Tensor:
    *positions, channels = value.shape
    if None in positions:
        return tf.size(value) // channels
    return math.prod(positions)
