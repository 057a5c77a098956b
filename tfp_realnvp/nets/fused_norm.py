"""Batch normalization by TensorFlow's fused kernels, with fewer passes."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

_ONCE = (
    'batch_norm="moving": expected to be differentiated once in training, got a second '
    'time; batch_norm="batch" or None, or training=False, have all derivatives.'
)


def norm_by(
    inputs: tf.Tensor,
    scale: tf.Tensor,
    offset: tf.Tensor,
    mean: tf.Tensor,
    variance: tf.Tensor,
    epsilon: float,
) -> tf.Tensor:
    """Returns `scale * (inputs - mean) / sqrt(variance + epsilon) + offset`."""
    outputs, _, _ = tf.compat.v1.nn.fused_batch_norm(
        inputs, scale, offset, mean, variance, epsilon=epsilon, is_training=False
    )
    return outputs


def norm_by_batch(
    inputs: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalizes by the batch's moments; returns these, too, without gradients."""
    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        inputs, scale, offset, epsilon=epsilon, is_training=True
    )
    count = _float_count(inputs)
    return outputs, mean, variance * ((count - 1) / count)


def norm_by_moving(
    inputs: tf.Tensor,
    scale: tf.Tensor,
    offset: tf.Tensor,
    moving_mean: tf.Tensor,
    moving_variance: tf.Tensor,
    momentum: float,
    epsilon: float,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalizes by the updated moving averages; returns these, without gradients.

    Gradients go through the batch's part of the averages (Appendix E). With its share
    `q = 1 - momentum`, the moved averages `m` and `v`, `r = 1 / sqrt(v + epsilon)` and
    sums over all `n` positions of a channel,

    ```none
    d_inputs = scale * r * (d_outputs - q / n * sum(d_outputs)
               - q / n * r^2 * (inputs - mean) * sum(d_outputs * (inputs - m)))
    ```
    """
    moved: list[tf.Tensor] = []

    @tf.custom_gradient
    def norm(
        inputs: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        channels = [inputs.shape[-1]]
        zeros, ones = tf.zeros(channels), tf.ones(channels)
        _, batch_mean, batch_variance = norm_by_batch(inputs, ones, zeros, epsilon)
        mean = moving_mean + (1 - momentum) * (batch_mean - moving_mean)
        variance = moving_variance + (1 - momentum) * (batch_variance - moving_variance)
        # As outputs they would get gradients, which are tensors of zeros.
        moved.extend((mean, variance))

        def gradient(d_outputs: tf.Tensor) -> list[tf.Tensor]:
            d_plain, d_scale, d_offset, *_ = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=d_outputs,
                x=inputs,
                scale=scale,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=zeros,
                epsilon=epsilon,
                is_training=False,
            )
            rate = tf.math.rsqrt(variance + epsilon)
            shared = (momentum - 1) / _float_count(inputs) * scale * rate
            slope = shared * rate * d_scale
            constant = shared * d_offset - slope * batch_mean
            # In one pass, and for bfloat16 in float32.
            d_moved = norm_by(inputs, slope, constant, zeros, ones - epsilon, epsilon)
            return [
                tf.raw_ops.PreventGradient(input=found, message=_ONCE)
                for found in (d_plain + d_moved, d_scale, d_offset)
            ]

        return norm_by(inputs, scale, offset, mean, variance, epsilon), gradient

    outputs = norm(inputs, scale, offset)
    return outputs, *moved


def num_positions(value: tf.Tensor) -> int | tf.Tensor:
    """Returns the number of values of a channel, a Python number if static."""
    *positions, channels = value.shape
    return tf.size(value) // channels if None in positions else math.prod(positions)


def _float_count(inputs: tf.Tensor) -> float | tf.Tensor:
    # Operations on static values would only make graphs longer.
    count = num_positions(inputs)
    return float(count) if isinstance(count, int) else tf.cast(count, tf.float32)
