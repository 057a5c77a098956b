"""Bits/dim of single images under single draws of the dequantization noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int, check_seed, check_whole, shortened
from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.data.progress import ProgressBar
from tfp_realnvp.flows import bits_per_dim
from tfp_realnvp.machine import check_fits
from tfp_realnvp.training.flow_model import FlowModel
from tfp_realnvp.training.inputs import check_data

# Arbitrary, so that a model trained with the same seed has not seen this noise.
_FOR_EVALUATION = 0x0DA7A2


def score_split(
    model: FlowModel,
    split: ImageSplit,
    *,
    draws: int = 3,
    seed: int = 0,
    limit: int | None = None,
    batch_size: int = 100,
) -> np.ndarray:
    """Returns the bits/dim of every image of a split under several draws of the noise.

    Normalization is by running statistics. The noise of an image is a function of
    `seed`, of the draw and of the image's number, and so the same for every model,
    `limit` and `batch_size`.

    Args:
      model: Model of a flow over pixels.
      split: The images, with conditions if the flow takes them.
      draws: Python `int`, how often noise is added to each image.
      seed: Python `int`, of the noise.
      limit: Python `int`, only the first so many images; `None` is all of them.
      batch_size: Python `int`; a matter of memory and speed alone.

    Returns:
      `float64` array of shape [images, draws].

    Raises:
      FloatingPointError: If the density of an image is zero, infinite or NaN.
      TypeError: If `model` is no `FlowModel`, or `split` no `ImageSplit`.
      ValueError: If the flow is not over pixels, the images do not fit it, or an
        argument is out of range.
    """
    if not isinstance(model, FlowModel):
        raise TypeError(f"model: expected a FlowModel, got {shortened(model)}.")
    if not isinstance(split, ImageSplit):
        raise TypeError(f"split: expected an ImageSplit, got {shortened(split)}.")
    if not model.is_over_pixels:
        raise ValueError(
            f"model: expected a flow over pixels, got {model.flow.name!r} without a "
            "PixelLogit, which has no bits/dim."
        )
    for name, value in (("draws", draws), ("batch_size", batch_size)):
        check_int(name, value)
    check_seed("seed", seed, optional=False)
    if limit is not None:
        check_whole("limit", limit)
    count = split.count if limit is None else limit
    if not 1 <= count <= split.count:
        raise ValueError(
            f"limit: expected 1 to {split.count}, the images there are; got {limit}."
        )
    check_fits("draws", draws, 8 * count * draws, "scores")
    batches = split.batches(batch_size, limit=count)
    check_data(
        batches,
        None,
        event_shape=model.flow.event_shape,
        pixels=True,
        condition_size=model.condition_size,
    )
    log_prob = _noisy_log_prob(model, seed, batches.element_spec)
    result = np.empty([count, draws], np.float64)
    progress, done = ProgressBar(count), 0
    for batch in batches:
        end = min(done + batch_size, count)
        for draw in range(draws):
            # The first is asked for as a tensor too, or each would be traced.
            place = tf.constant(done, tf.int64), tf.constant(draw, tf.int64)
            result[done:end, draw] = log_prob(batch, *place)
        _check_finite(result[done:end], first=done)
        done = end
        progress.update(done)
    return bits_per_dim(result, model.flow.event_shape)


def _noisy_log_prob(
    model: FlowModel, seed: int, batch_spec: tf.TypeSpec
) -> tf.types.experimental.GenericFunction:
    """Returns a function of a batch, its first image's number, and a draw."""
    number_spec = tf.TensorSpec([], tf.int64)

    @tf.function(
        autograph=False, input_signature=[batch_spec, number_spec, number_spec]
    )
    def log_prob(batch: Any, first: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
        images, condition = batch if isinstance(batch, tuple) else (batch, None)
        numbers = first + tf.range(tf.shape(images, tf.int64)[0])
        pixels = dequantized(model, images, numbers, draw, seed)
        return model.log_prob_parts(pixels, condition)[0]

    return log_prob


def dequantized(
    model: FlowModel,
    images: tf.Tensor,
    numbers: tf.Tensor,
    draw: tf.Tensor,
    seed: int,
) -> tf.Tensor:
    """Returns images with noise that is a function of number, draw and seed alone.

    Args:
      model: Model of a flow over pixels.
      images: `uint8` `Tensor` of shape [N, height, width, channels].
      numbers: `int64` `Tensor` of shape [N].
      draw: `int64` `Tensor` of shape [].
      seed: Python `int`.
    """
    shape, dtype = model.flow.event_shape, model.flow.dtype
    key = tf.constant([_FOR_EVALUATION, seed], tf.int64)
    key = tf.random.experimental.stateless_fold_in(key, draw)

    def noise(number: tf.Tensor) -> tf.Tensor:
        own = tf.random.experimental.stateless_fold_in(key, number)
        return tf.random.stateless_uniform(shape, own, dtype=dtype)

    return tf.cast(images, dtype) + tf.map_fn(noise, numbers, fn_output_signature=dtype)


def _check_finite(log_probs: np.ndarray, *, first: int) -> None:
    bad = np.argwhere(~np.isfinite(log_probs))
    if len(bad):
        image, draw = bad[0]
        raise FloatingPointError(
            f"log_prob: expected finite numbers, got {log_probs[image, draw]} for "
            f"image {first + image} (draw {draw} of its noise)."
        )
