"""From images to latents and back."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import (
    check_int,
    check_number,
    check_seed,
    checked_array,
    shortened,
)
from tfp_realnvp.bijectors.fused_chain import nested_kwargs
from tfp_realnvp.figures.batches import map_batches
from tfp_realnvp.figures.grid import to_uint8
from tfp_realnvp.flows.call_arguments import (
    check_transformed,
    condition_vectors,
    distribution_kwargs,
)
from tfp_realnvp.machine import check_fits


def encode_images(
    flow: tfd.Distribution,
    images: np.ndarray,
    *,
    condition: np.ndarray | None = None,
    seed: int = 0,
    batch_size: int = 64,
) -> np.ndarray:
    """Returns the latents of images.

    Passes are eager: for the few batches that a picture takes, tracing a deep flow
    would take longer than all of them.

    Args:
      flow: Transformed distribution from `image_flow`.
      images: Array of shape [N, height, width, channels]. `uint8` images get noise,
        floating ones are taken as they are.
      condition: Integer labels of shape [N] or vectors of shape [N, condition_size],
        if the flow takes a condition.
      seed: Python `int`, of the noise.
      batch_size: Python `int`, a matter of memory and speed alone.

    Returns:
      Floating array of the same shape.

    Raises:
      TypeError: If `flow` is no such distribution.
      ValueError: If the images or the condition do not fit the flow, or images are NaN
        or infinite.

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
    check_flow(flow)
    pixels = as_pixels(flow, images, seed=seed)
    vectors = condition_vectors(flow, condition, len(pixels))

    def encode(pixels: np.ndarray, vectors: np.ndarray | None) -> np.ndarray:
        kwargs = nested_kwargs(flow.bijector, condition=vectors)
        return flow.bijector.inverse(tf.constant(pixels), **kwargs).numpy()

    return map_batches(encode, pixels, vectors, batch_size=batch_size)


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
      batch_size: Python `int`, a matter of memory and speed alone.

    Returns:
      `uint8` array of the same shape.

    Raises:
      TypeError: If `flow` is no such distribution.
      ValueError: If the latents or the condition do not fit the flow, or latents are
        NaN or infinite.
    """
    check_flow(flow)
    latents = checked_array("latents", latents)
    _check_shape(flow, latents, "latents")
    _check_finite("latents", latents)
    latents = latents.astype(flow.dtype.as_numpy_dtype, copy=False)
    vectors = condition_vectors(flow, condition, len(latents))

    def decode(latents: np.ndarray, vectors: np.ndarray | None) -> np.ndarray:
        kwargs = nested_kwargs(flow.bijector, condition=vectors)
        pixels = flow.bijector.forward(tf.constant(latents), **kwargs)
        return to_uint8(pixels.numpy())

    return map_batches(decode, latents, vectors, batch_size=batch_size)


def draw_latents(
    flow: tfd.Distribution,
    count: int,
    *,
    seed: int | None = None,
    temperature: float = 1.0,
    condition: np.ndarray | None = None,
) -> np.ndarray:
    """Returns latents drawn from a flow's base distribution.

    Args:
      flow: Transformed distribution over events of a known shape.
      count: Python `int`, how many.
      seed: Python `int` or `None`, makes them repeatable.
      temperature: Python `float`, factor on the latents.
      condition: As for `encode_images`; bases can take it too.

    Returns:
      Floating array of shape [count, *event_shape].

    Raises:
      TypeError: If `flow` is no transformed distribution.
      ValueError: If `count` is not positive, `temperature` negative, or the condition
        does not fit the flow.
    """
    check_transformed(flow)
    check_int("count", count)
    check_draws(seed, temperature)
    # The latents, and what they become.
    needed = 3 * count * flow.event_shape.num_elements() * flow.dtype.size
    check_fits("count", count, needed, "images")
    vectors = condition_vectors(flow, condition, count)
    kwargs = distribution_kwargs(flow, condition=vectors)
    latents = flow.distribution.sample(
        count,
        # TFP takes an int as the start of a stream, a pair of int32 as the seed of one
        # draw.
        seed=seed if seed is None else divmod(seed, 2**31),
        **kwargs.get("distribution_kwargs", {}),
    )
    return temperature * latents.numpy()


def check_draws(seed: int | None, temperature: float) -> None:
    """Raises `ValueError` if one is negative, or `temperature` is not finite."""
    check_seed("seed", seed)
    check_number("temperature", temperature, least=0, expected="0 or more, and finite")


def check_flow(flow: tfd.Distribution, name: str = "flow") -> None:
    """Raises `TypeError` if `flow` is none whose latents are images."""
    check_transformed(flow, name)
    if flow.event_shape.rank != 3:
        raise TypeError(
            f"{name}: expected a transformed distribution from image_flow, got "
            f"{shortened(flow)}."
        )


def as_pixels(
    flow: tfd.Distribution, images: np.ndarray, *, seed: int = 0, name: str = "images"
) -> np.ndarray:
    """Returns images as a flow over pixels takes them: those of integers with noise.

    The noise of an image is a function of `seed` and of its place alone.

    Raises:
      ValueError: If the images do not fit the flow; `name` is what it calls them.
    """
    images = checked_array(name, images)
    _check_shape(flow, images, name)
    check_draws(seed, 1.0)
    _check_finite(name, images)
    dtype = flow.dtype.as_numpy_dtype
    if images.dtype == np.uint8:
        noise = np.random.default_rng(seed).random(images.shape, dtype)
        return images.astype(dtype) + noise
    if images.dtype.kind != "f":
        raise ValueError(f"{name}: expected uint8 or floating, got {images.dtype}.")
    return images.astype(dtype, copy=False)


def _check_finite(name: str, values: np.ndarray) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        count = int(values.size - np.isfinite(values).sum())
        raise ValueError(
            f"{name}: expected finite numbers, got NaN or infinity in {count} places."
        )


def _check_shape(flow: tfd.Distribution, values: np.ndarray, name: str) -> None:
    event_shape = tuple(flow.event_shape)
    if values.ndim != 4 or values.shape[1:] != event_shape or len(values) == 0:
        raise ValueError(
            f"{name}: expected shape (N, {', '.join(map(str, event_shape))}) with "
            f"N > 0, got {values.shape}."
        )
