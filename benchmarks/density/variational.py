"""Variational dequantization (Ho et al., Flow++, 2019, Section 3.1).

```none
log P(x) >= E_u[log p(x + u) - log q(u | x)]
u = sigmoid(v),  v a flow of normal noise that sees the image x
```

The bound takes the place of the density of x plus uniform noise, in training and in
scores, which have one draw of u for each image.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfp_realnvp as nvp
from tfp_realnvp.bijectors import checkerboard_mask
from tfp_realnvp.nets import ResNet, ShiftAndLogScale

# A logistic is uniform after the sigmoid; a normal of this deviation is close to it.
_NEARLY_UNIFORM = 1.7


class Dequantizer(keras.layers.Layer):
    """Noise in (0, 1) that depends on the image, and its log-density in nats."""

    def __init__(self, filters: int, seed: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads = [
            ShiftAndLogScale(
                ResNet(2 * 3, filters=filters, num_blocks=1, seed=seed + i)
            )
            for i in range(2)
        ]

    def build(self, images_shape: tuple[int | None, ...]) -> None:
        *outer, channels = images_shape
        for head in self.heads:
            head.build(images_shape, context_shape=(*outer, channels + 1))
        self.built = True

    def call(
        self, images: tf.Tensor, noise: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        axes = [1, 2, 3]
        log_q = -0.5 * tf.reduce_sum(tf.square(noise) + np.log(2 * np.pi), axes)
        value = _NEARLY_UNIFORM * noise
        count = float(np.prod(images.shape[1:]))
        log_q -= count * np.log(_NEARLY_UNIFORM)
        for i, head in enumerate(self.heads):
            mask = checkerboard_mask(images.shape[1:], invert=bool(i))
            mask = tf.cast(mask, images.dtype)
            context = tf.concat(
                [tf.zeros_like(images[..., :1]) + mask, images / 128 - 1], axis=-1
            )
            shift, log_scale = head(mask * value, context=context, training=training)
            log_scale *= 1 - mask
            value = value * tf.exp(log_scale) + (1 - mask) * shift
            log_q -= tf.reduce_sum(log_scale, axes)
        log_slope = tf.math.log_sigmoid(value) + tf.math.log_sigmoid(-value)
        return tf.sigmoid(value), log_q - tf.reduce_sum(log_slope, axes)


class VariationalModel(nvp.FlowModel):
    """A `FlowModel` that learns the noise it adds to integer images."""

    def __init__(self, flow: Any, *, seed: int):
        super().__init__(flow, seed=seed)
        self.dequantizer = Dequantizer(filters=16, seed=seed)
        self.dequantizer.build((None, *flow.event_shape))

    def log_prob_parts(self, x, condition=None, training=False):
        images = tf.cast(x, self.flow.dtype)
        seed = self._noise_seed(images, training=training)
        normal = tf.random.stateless_normal(tf.shape(images), seed)
        jitter, log_q = self.dequantizer(images, normal, training=training)
        log_p, prior = super().log_prob_parts(images + jitter, training=training)
        return log_p - log_q, prior - log_q
