"""Samples, beside the data they should look like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_int
from tfp_realnvp.figures.grid import (
    checked_pictures,
    enlargement,
    image_grid,
    with_headings,
)
from tfp_realnvp.figures.latents import decode_latents, draw_latents


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
      seed: Python `int` or `None`, makes the images repeatable.
      temperature: Python `float`, factor on the latents; below 1 it trades diversity
        for likelihood.
      condition: Integer labels of shape [count] or vectors of shape
        [count, condition_size], if the flow takes a condition.

    Returns:
      `uint8` array of shape [count, height, width, channels].

    Raises:
      ValueError: If `count` is not positive, `temperature` negative, or the condition
        does not fit the flow.
    """
    latents = draw_latents(
        flow, count, seed=seed, temperature=temperature, condition=condition
    )
    return decode_latents(flow, latents, condition=condition)


def samples_beside_data(
    data: np.ndarray,
    samples: np.ndarray,
    *,
    columns: int = 8,
    headings: Sequence[str] = (),
) -> np.ndarray:
    """Returns one picture: a block of data left, a block of samples right (Fig. 5).

    Args:
      data: `uint8` array of shape [N, height, width, channels].
      samples: `uint8` array of the same shape.
      columns: Python `int`, images in a row of each block.
      headings: What to write above the columns, and above both blocks what they are;
        nothing if it is empty.

    Raises:
      ValueError: If these are no images of one shape, or `columns` is not positive.
    """
    data = checked_pictures("data", data)
    samples = checked_pictures("samples", samples)
    check_int("columns", columns)
    if data.shape != samples.shape:
        raise ValueError(
            f"samples: expected the shape of data, {data.shape}, got {samples.shape}."
        )
    scale = enlargement(data)
    # What is drawn large, and up to its edges, would run together.
    gap = max(1, scale // 2)
    blocks = [
        image_grid(x, columns=columns, scale=scale, gap=gap) for x in (data, samples)
    ]
    if headings:
        blocks = [
            with_headings(with_headings(block, headings), [title])
            for block, title in zip(blocks, ("test images", "samples"), strict=True)
        ]
    gutter = np.full([blocks[0].shape[0], 16, blocks[0].shape[2]], 255, np.uint8)
    return np.concatenate([blocks[0], gutter, blocks[1]], axis=1)
