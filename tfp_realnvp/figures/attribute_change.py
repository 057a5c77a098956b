"""Images under another condition (the paper's appendix on attribute change)."""

from __future__ import annotations

import numpy as np
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_int, check_seed
from tfp_realnvp.figures.latents import (
    as_pixels,
    check_flow,
    decode_latents,
    encode_images,
)
from tfp_realnvp.flows.call_arguments import condition_size_of_flow, condition_vectors
from tfp_realnvp.machine import check_fits


def change_attributes(
    flow: tfd.Distribution,
    images: np.ndarray,
    *,
    condition: np.ndarray,
    new_condition: np.ndarray,
    seed: int = 0,
) -> np.ndarray:
    """Returns images encoded with their own condition and decoded with another.

    What the latents tell stays, and what the condition tells changes.

    Args:
      flow: Transformed distribution from `image_flow` with a `condition_size`.
      images: Array of shape [N, height, width, channels], as for `encode_images`.
      condition: Labels or vectors of the images.
      new_condition: Labels or vectors to decode them with, for instance
        `condition[shuffled_numbers(N)]`.
      seed: Python `int`, of the noise.

    Returns:
      `uint8` array of shape [N, height, width, channels].

    Raises:
      ValueError: If the flow takes no condition, or images or conditions do not fit.

    #### Example

    ```python
    >>> import numpy as np
    >>> import tfp_realnvp as nvp
    >>> from tfp_realnvp.figures import change_attributes
    >>> flow = nvp.image_flow(
    ...     event_shape=(8, 8, 1), filters=8, num_blocks=1, condition_size=10
    ... )
    >>> images = np.full([2, 8, 8, 1], 100, np.uint8)
    >>> change_attributes(flow, images, condition=[3, 4], new_condition=[8, 8]).shape
    (2, 8, 8, 1)

    ```
    """
    check_flow(flow)
    if condition_size_of_flow(flow) is None:
        raise ValueError(
            "flow: expected one that takes a condition, got an unconditional one."
        )
    images = as_pixels(flow, images, seed=seed)
    old = condition_vectors(flow, condition, len(images))
    new = condition_vectors(flow, new_condition, len(images), name="new_condition")
    latents = encode_images(flow, images, condition=old, seed=seed)
    return decode_latents(flow, latents, condition=new)


def shuffled_numbers(count: int, *, seed: int = 0) -> np.ndarray:
    """Returns the numbers of `count` images, shuffled so that none keeps its place.

    With them as indices each image is given the condition of another image, which can
    still be an equal one.

    Args:
      count: Python `int`, at least 2.
      seed: Python `int`.

    Returns:
      Integer array of shape [count].

    Raises:
      ValueError: If `count` is too small.
    """
    check_int("count", count, least=2, unit=" to shuffle")
    check_seed("seed", seed, optional=False)
    check_fits("count", count, 24 * count, "numbers")
    # One cycle through all in a random order.
    order = np.random.default_rng(seed).permutation(count)
    numbers = np.empty(count, np.int64)
    numbers[order] = np.roll(order, 1)
    return numbers
