"""Samples, beside the data they should look like."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.figures.grid import image_grid, to_uint8

tfd = tfp.distributions


def sample_images(
    flow: tfd.Distribution,
    count: int,
    *,
    seed: int | None = None,
    temperature: float = 1.0,
) -> np.ndarray:
    """Returns images drawn from a flow over pixels.

    Args:
      flow: Transformed distribution from `image_flow`.
      count: Python `int`, number of images.
      seed: Python `int` or `None`, makes the images repeatable.
      temperature: Python `float`, factor on the latents; below 1 it trades diversity
        for likelihood.

    Returns:
      `uint8` array of shape [count, height, width, channels].

    Raises:
      ValueError: If `count` is not positive or `temperature` negative.
    """
    if count < 1:
        raise ValueError(f"count: expected a positive int, got {count}.")
    if not temperature >= 0:
        raise ValueError(f"temperature: expected 0 or more, got {temperature}.")
    # TFP takes an int as the start of a stream, a pair as the seed of one draw.
    latents = flow.distribution.sample(count, seed=seed if seed is None else (0, seed))
    forward = tf.function(flow.bijector.forward)
    return to_uint8(forward(temperature * latents).numpy())


def samples_beside_data(
    data: np.ndarray, samples: np.ndarray, *, columns: int = 8
) -> np.ndarray:
    """Returns one picture: a block of data left, a block of samples right (Fig. 5).

    Args:
      data: `uint8` array of shape [N, height, width, channels].
      samples: `uint8` array of the same shape.
      columns: Python `int`, images in a row of each block.
    """
    # Small images are enlarged until a person can see them.
    scale = max(1, 32 // data.shape[1])
    blocks = [image_grid(x, columns=columns, scale=scale) for x in (data, samples)]
    gutter = np.full([blocks[0].shape[0], 16, blocks[0].shape[2]], 255, np.uint8)
    return np.concatenate([blocks[0], gutter, blocks[1]], axis=1)
