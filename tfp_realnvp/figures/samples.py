"""Samples of a flow, also larger than its training images (Appendix C)."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_fits, check_int
from tfp_realnvp.bijectors import AffineCoupling
from tfp_realnvp.figures.latents import decode_latents, draw_latents

# Arrays in memory at once where a network is widest. On a CPU they predict the growth
# of a process within a factor of 1.5.
_HIDDEN_MAPS, _IMAGES = 6, 16


def sample_images(
    flow: tfd.Distribution,
    count: int,
    *,
    seed: int | None = None,
    temperature: float = 1.0,
    condition: np.ndarray | None = None,
) -> np.ndarray:
    """Returns images drawn from a flow over pixels.

    Args:
      flow: Transformed distribution from `image_flow`.
      count: Python `int`, number of images.
      seed: Python `int`, makes the images repeatable; `None` draws new ones.
      temperature: Python `float`, factor on the latents; below 1 it trades diversity
        for likelihood.
      condition: As for `encode_images`, for `count` images.

    Returns:
      `uint8` array of shape [count, height, width, channels].

    Raises:
      ValueError: If a number is out of range, or the condition does not fit the flow.
    """
    latents = draw_latents(
        flow, count, seed=seed, temperature=temperature, condition=condition
    )
    return decode_latents(flow, latents, condition=condition)


def extrapolated_samples(
    flow: tfd.Distribution,
    count: int,
    *,
    factor: int,
    seed: int | None = None,
    temperature: float = 1.0,
    condition: np.ndarray | None = None,
) -> np.ndarray:
    """Returns images several times as large as the training images (Appendix C).

    The networks are convolutional, so the flow continues its images as a texture.

    Args:
      flow: Transformed distribution from `image_flow`, with its default base.
      count: Python `int`, number of images; they are drawn one after the other.
      factor: Python `int`, by which height and width are multiplied.
      seed: As for `sample_images`.
      temperature: As for `sample_images`.
      condition: As for `sample_images`.

    Returns:
      `uint8` array of shape [count, factor * height, factor * width, channels].

    Raises:
      ValueError: As `sample_images`; or if the images would not fit in memory, or the
        base distribution is not the default one.
    """
    check_int("factor", factor)
    if not has_default_base(flow):
        raise ValueError(
            "flow: expected the default base distribution, a unit normal, for images "
            "of another size than the flow was made for; got "
            f"{type(flow.distribution).__name__} {flow.distribution.name!r}."
        )
    check_memory(flow, factor)
    height, width, channels = flow.event_shape
    zeros = tf.zeros([factor * height, factor * width, channels], flow.dtype)
    # The copy shares the flow's weights.
    larger = flow.copy(distribution=tfd.Independent(tfd.Normal(zeros, 1), 3))
    latents = draw_latents(
        larger, count, seed=seed, temperature=temperature, condition=condition
    )
    return decode_latents(larger, latents, condition=condition, batch_size=1)


def has_default_base(flow: tfd.Distribution) -> bool:
    """Whether the base is a unit normal, which is defined for images of any size."""
    base = flow.distribution
    normal = getattr(base, "distribution", None)
    return (
        isinstance(base, tfd.Independent)
        and isinstance(normal, tfd.Normal)
        # Trainable parameters can change later.
        and not base.trainable_variables
        and bool(tf.reduce_all(normal.loc == 0))
        and bool(tf.reduce_all(normal.scale == 1))
    )


def check_memory(flow: tfd.Distribution, factor: int) -> None:
    """Raises `ValueError` if an image larger by this factor would not fit in memory.

    The system would kill the process, and all that it has drawn would be lost.
    """
    maps = []
    for coupling in flow.bijector.submodules:
        if isinstance(coupling, AffineCoupling):
            # Custom networks do not say how wide they are.
            network = getattr(coupling.network, "network", None)
            filters = getattr(network, "filters", 0)
            maps.append(filters * math.prod(coupling.event_shape[:2]))
    images = _IMAGES * flow.event_shape.num_elements()
    numbers = _HIDDEN_MAPS * max(maps, default=0) + images
    check_fits("factor", factor, factor**2 * numbers * flow.dtype.size, "images")
