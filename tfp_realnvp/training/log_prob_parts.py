"""The two parts of a flow's log-density, and the noise that comes before it."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.flows.call_arguments import distribution_kwargs, is_transformed
from tfp_realnvp.nets.replicas import global_batch
from tfp_realnvp.training.checks import checked_pixels


def log_prob_parts(
    flow: tfd.Distribution, x: tf.Tensor, condition: Any, *, training: bool
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Returns `flow.log_prob(x)` and, of a transformed distribution, the base's part.

    The networks run once for both.
    """
    kwargs = distribution_kwargs(flow, training=training, condition=condition)
    log_prob = flow.log_prob(x, **kwargs)
    if not is_transformed(flow) or flow.distribution.event_shape != flow.event_shape:
        return log_prob, None
    latents = flow.bijector.inverse(x, **kwargs.get("bijector_kwargs", {}))
    prior = flow.distribution.log_prob(latents, **kwargs.get("distribution_kwargs", {}))
    return log_prob, tf.broadcast_to(prior, tf.shape(log_prob))


def jittered(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns images plus uniform noise in [0, 1) (Section 4.1).

    The noise of an example depends on its place in the global batch, and not on the
    replica that has it.

    Args:
      images: Floating `Tensor` of shape [N, height, width, channels].
      seed: Integer `Tensor` of shape [2], the same on all replicas.
    """
    batch = global_batch(tf.shape(images)[0])
    shape = tf.concat([[batch.size], tf.shape(images)[1:]], axis=0)
    noise = tf.random.stateless_uniform(shape, seed, dtype=images.dtype)
    return images + noise[batch.start : batch.start + tf.shape(images)[0]]


def real_pixels(
    x: tf.Tensor, dtype: tf.DType, noise: keras.random.SeedGenerator, *, training: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns images as a flow over pixels takes them, and which of them are NaN.

    Args:
      x: `Tensor` of shape [N, height, width, channels]; integer images are jittered.
      dtype: Of the flow.
      noise: Where the seed of the jitter comes from.
      training: Python `bool`. In training an image with NaN is replaced by zeros, or
        the checks of the flow would end training; what is to happen is for
        `on_non_finite` to say. Elsewhere it is an error.

    Raises:
      tf.errors.InvalidArgumentError: If there are values that are no pixels.
    """
    if not x.dtype.is_floating:
        x = tf.cast(checked_pixels(x, "x"), dtype)
        return jittered(x, noise.next()), tf.constant(False)
    is_bad = tf.constant(False)
    if training:
        is_bad = tf.reduce_any(tf.math.is_nan(x), axis=[1, 2, 3])
        x = tf.where(is_bad[:, None, None, None], tf.zeros([], x.dtype), x)
    return checked_pixels(x, "x"), is_bad
