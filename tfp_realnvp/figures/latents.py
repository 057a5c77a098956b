"""Images to latents and back, and their bits/dim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_int, check_number, check_seed, checked_array
from tfp_realnvp.bijectors import FusedChain
from tfp_realnvp.data.progress import ProgressBar
from tfp_realnvp.figures.pictures import to_uint8
from tfp_realnvp.flows import bits_per_dim
from tfp_realnvp.flows.call_arguments import (
    check_transformed,
    condition_vectors,
    distribution_kwargs,
)


def encode_images(
    flow: tfd.Distribution,
    images: np.ndarray,
    *,
    condition: np.ndarray | None = None,
    seed: int = 0,
    batch_size: int = 64,
) -> np.ndarray:
    """Returns the latents of images.

    Args:
      flow: Transformed distribution from `image_flow`.
      images: Array of shape [N, height, width, channels]. `uint8` images get
        dequantization noise, floating ones are used as they are.
      condition: Integer labels of shape [N] or vectors of shape [N, condition_size],
        if the flow takes a condition.
      seed: Python `int`, of the noise.
      batch_size: Python `int`, for memory and speed alone.

    Returns:
      Floating array of the same shape.

    Raises:
      TypeError: If `flow` is not such a distribution.
      ValueError: If the images or the condition do not fit the flow.

    #### Example

    ```python
    >>> import numpy as np
    >>> import tfp_realnvp as nvp
    >>> from tfp_realnvp.figures import decode_latents, encode_images
    >>> flow = nvp.image_flow(event_shape=(8, 8, 1), filters=8, num_blocks=1)
    >>> images = np.full([2, 8, 8, 1], 100, np.uint8)
    >>> latents = encode_images(flow, images)
    >>> bool(np.all(decode_latents(flow, latents) == images))
    True

    ```
    """
    check_transformed(flow)

    def encode(pixels: tf.Tensor, kwargs: dict[str, Any]) -> tf.Tensor:
        return flow.bijector.inverse(pixels, **kwargs.get("bijector_kwargs", {}))

    pixels = as_pixels(flow, images, seed=seed)
    return _in_batches(encode, flow, pixels, condition, batch_size)


def decode_latents(
    flow: tfd.Distribution,
    latents: np.ndarray,
    *,
    condition: np.ndarray | None = None,
    batch_size: int = 64,
) -> np.ndarray:
    """Returns the images of latents.

    Args:
      flow: Transformed distribution from `image_flow`.
      latents: Floating array of shape [N, height, width, channels].
      condition: As for `encode_images`.
      batch_size: As for `encode_images`.

    Returns:
      `uint8` array of the same shape.

    Raises:
      TypeError: If `flow` is not such a distribution.
      ValueError: If latents or condition do not fit the flow, or pixels become NaN.
    """
    check_transformed(flow)
    # NumPy alone would parse strings as numbers.
    latents = checked_array("latents", latents).astype(flow.dtype.as_numpy_dtype)
    _check_shape(flow, latents, "latents")

    def decode(latents: tf.Tensor, kwargs: dict[str, Any]) -> np.ndarray:
        pixels = flow.bijector.forward(latents, **kwargs.get("bijector_kwargs", {}))
        return to_uint8(pixels.numpy())

    return _in_batches(decode, flow, latents, condition, batch_size)


def image_bits_per_dim(
    flow: tfd.Distribution,
    images: np.ndarray,
    *,
    condition: np.ndarray | None = None,
    seed: int = 0,
    batch_size: int = 64,
) -> np.ndarray:
    """Returns the bits/dim of each image under a flow over pixels.

    Args:
      flow: Distribution over images, such as one from `image_flow`.
      images: As for `encode_images`.
      condition: As for `encode_images`.
      seed: As for `encode_images`.
      batch_size: As for `encode_images`.

    Returns:
      `float64` array of shape [N].

    Raises:
      FloatingPointError: If the density of an image is NaN.
      ValueError: If the images or the condition do not fit the flow.
    """

    def score(pixels: tf.Tensor, kwargs: dict[str, Any]) -> tf.Tensor:
        return flow.log_prob(pixels, **kwargs)

    pixels = as_pixels(flow, images, seed=seed)
    log_prob = _in_batches(score, flow, pixels, condition, batch_size)
    if np.isnan(log_prob).any():
        found = f"image {np.argmax(np.isnan(log_prob))} of {len(log_prob)}"
        raise FloatingPointError(f"log_prob: expected numbers, got NaN for {found}.")
    return bits_per_dim(log_prob.astype(np.float64), flow.event_shape)


def draw_latents(
    flow: tfd.Distribution,
    count: int,
    *,
    seed: int | None = None,
    temperature: float = 1.0,
    condition: np.ndarray | None = None,
) -> np.ndarray:
    """Returns latents drawn from a flow's base; arguments as for `sample_images`."""
    check_transformed(flow)
    check_int("count", count)
    check_draws(seed, temperature)
    vectors = condition_vectors(flow, condition, count)
    kwargs = distribution_kwargs(flow, condition=vectors).get("distribution_kwargs", {})
    # TFP takes an int as the start of a stream, and a pair as the seed of one draw.
    pair = None if seed is None else divmod(seed, 2**31)
    latents = flow.distribution.sample(count, seed=pair, **kwargs)
    return temperature * latents.numpy()


def check_draws(seed: int | None, temperature: float) -> None:
    """Raises `ValueError` if a value is negative, or `temperature` is not finite."""
    check_seed("seed", seed)
    check_number("temperature", temperature, least=0, expected="0 or more, and finite")


def innermost_bijector(flow: tfd.Distribution) -> tfb.Bijector | None:
    """Returns the bijector next to a flow's base distribution."""
    bijector = getattr(flow, "bijector", None)
    while isinstance(bijector, FusedChain | tfb.Chain):
        bijector = bijector.bijectors[-1]
    return bijector


def as_pixels(
    flow: tfd.Distribution, images: np.ndarray, *, seed: int = 0
) -> np.ndarray:
    """Returns images as a flow over pixels takes them: 8-bit images with noise.

    The noise of an image depends on `seed` and its index alone.
    """
    images = np.asarray(images)
    _check_shape(flow, images, "images")
    dtype = flow.dtype.as_numpy_dtype
    if images.dtype == np.uint8:
        noise = np.random.default_rng(seed).random(images.shape, dtype)
        return images.astype(dtype) + noise
    if images.dtype.kind != "f":
        raise ValueError(f"images: expected uint8 or floating, got {images.dtype}.")
    return images.astype(dtype, copy=False)


def _check_shape(flow: tfd.Distribution, values: np.ndarray, name: str) -> None:
    expected = tuple(flow.event_shape)
    if values.ndim != 4 or values.shape[1:] != expected or len(values) == 0:
        raise ValueError(
            f"{name}: expected shape (N, {', '.join(map(str, expected))}) with N > 0, "
            f"got {values.shape}."
        )


def _in_batches(
    function: Callable[[tf.Tensor, dict[str, Any]], tf.Tensor | np.ndarray],
    flow: tfd.Distribution,
    values: np.ndarray,
    condition: np.ndarray | None,
    batch_size: int,
) -> np.ndarray:
    """Returns `function` of values and of keyword arguments for `flow`, in batches."""
    # Eager: tracing a deep flow would take longer than the few batches of a picture.
    vectors = condition_vectors(flow, condition, len(values))
    progress, results = ProgressBar(len(values)), []
    for start in range(0, len(values), batch_size):
        part = slice(start, start + batch_size)
        given = None if vectors is None else vectors[part]
        kwargs = distribution_kwargs(flow, condition=given)
        results.append(np.asarray(function(tf.constant(values[part]), kwargs)))
        progress.update(start + batch_size)
    return np.concatenate(results)
