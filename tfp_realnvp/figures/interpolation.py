"""From one image to another through the latent space."""

from __future__ import annotations

from typing import Any

import numpy as np
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_int
from tfp_realnvp.figures.latents import (
    as_pixels,
    check_flow,
    decode_latents,
    encode_images,
)
from tfp_realnvp.figures.sphere import great_circle
from tfp_realnvp.flows.call_arguments import condition_vectors
from tfp_realnvp.machine import check_fits


def interpolations(
    flow: tfd.Distribution,
    first: np.ndarray,
    second: np.ndarray,
    *,
    steps: int = 8,
    condition: Any = None,
    seed: int = 0,
) -> np.ndarray:
    """Returns images on the way from each first image to its second one.

    The way is an arc in the latent space, see `great_circle`: a Gaussian in many
    dimensions has its mass near a sphere, and a straight line would leave it. Its
    ends are the images themselves, as the flow reconstructs them.

    Args:
      flow: Transformed distribution from `image_flow`.
      first: Array of shape [N, height, width, channels], as for `encode_images`.
      second: Array of the same shape.
      steps: Python `int`, number of images on the way, both ends among them; at least
        2.
      condition: If the flow takes a condition: N labels or vectors, each of both
        images of a pair; or a `tuple` of those of the first and of the second images,
        which are mixed evenly on the way.
      seed: Python `int`, of the noise.

    Returns:
      `uint8` array of shape [N, steps, height, width, channels].

    Raises:
      ValueError: If there are not as many second images as first ones, `steps` is too
        small, or images or condition do not fit the flow.
    """
    check_flow(flow)
    # With one seed an image that is in both places has the same latents in both.
    first = as_pixels(flow, first, seed=seed, name="first")
    second = as_pixels(flow, second, seed=seed, name="second")
    if first.shape != second.shape:
        raise ValueError(
            f"second: expected the shape of first, {first.shape}, got {second.shape}."
        )
    check_int("steps", steps, least=2)
    count = len(first)
    needed = 6 * steps * first.size * flow.dtype.size
    check_fits("steps", steps, needed, "interpolations")
    if isinstance(condition, tuple) and len(condition) != 2:
        raise ValueError(
            "condition: expected a pair of those of the first and of the second "
            f"images, got a tuple of {len(condition)}."
        )
    of_first, of_second = (
        condition if isinstance(condition, tuple) else (condition, condition)
    )
    of_first = condition_vectors(flow, of_first, count)
    of_second = condition_vectors(flow, of_second, count)
    begin = encode_images(flow, first, condition=of_first, seed=seed)
    end = encode_images(flow, second, condition=of_second, seed=seed)
    places = np.linspace(0, 1, steps)
    latents = np.stack([great_circle(begin, end, t) for t in places], axis=1)
    vectors = None
    if of_first is not None:
        vectors = np.stack([(1 - t) * of_first + t * of_second for t in places], axis=1)
        vectors = vectors.reshape(count * steps, -1)
    images = decode_latents(
        flow, latents.reshape(-1, *first.shape[1:]), condition=vectors
    )
    return images.reshape(latents.shape)
