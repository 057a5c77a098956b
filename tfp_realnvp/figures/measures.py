"""Numbers that stand beside the pictures."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import checked_array, shortened
from tfp_realnvp.figures.batches import map_batches
from tfp_realnvp.figures.latents import as_pixels
from tfp_realnvp.flows import bits_per_dim
from tfp_realnvp.flows.call_arguments import condition_vectors, distribution_kwargs


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the peak signal-to-noise ratio of images, in dB.

    ```none
    psnr = 10 log10(255**2 / mean((a - b)**2))
    ```

    Args:
      a: `uint8` array of shape [N, height, width, channels].
      b: `uint8` array of the same shape.

    Returns:
      `float64` array of shape [N], infinite for images that are equal.

    Raises:
      ValueError: If these are no 8-bit images of one shape.

    #### Example

    ```python
    >>> import numpy as np
    >>> from tfp_realnvp.figures import psnr
    >>> black = np.zeros([1, 8, 8, 1], np.uint8)
    >>> psnr(black, black + 255).tolist(), psnr(black, black).tolist()
    ([0.0], [inf])

    ```
    """
    a, b = checked_array("a", a), checked_array("b", b)
    if a.dtype != np.uint8 or b.dtype != np.uint8 or a.shape != b.shape or a.ndim != 4:
        raise ValueError(
            "a, b: expected uint8 images of one shape (N, height, width, channels), "
            f"got {a.dtype} of shape {a.shape} and {b.dtype} of shape {b.shape}."
        )
    if a.size == 0:
        raise ValueError(f"a, b: expected images, got none, of shape {a.shape}.")
    error = np.square(a.astype(np.float64) - b).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / error)


def image_bits_per_dim(
    flow: tfd.Distribution,
    images: np.ndarray,
    *,
    condition: np.ndarray | None = None,
    seed: int = 0,
    batch_size: int = 64,
) -> np.ndarray:
    """Returns what each image costs under a flow over pixels, in bits/dim.

    Args:
      flow: Transformed distribution from `image_flow`.
      images: As for `encode_images`.
      condition: As for `encode_images`.
      seed: Python `int`, of the noise.
      batch_size: Python `int`, a matter of memory and speed alone.

    Returns:
      `float64` array of shape [N].

    Raises:
      FloatingPointError: If the density of an image is NaN.
      TypeError: If `flow` is no distribution over images.
      ValueError: If the images or the condition do not fit the flow.
    """
    if not isinstance(flow, tfd.Distribution) or flow.event_shape.rank != 3:
        raise TypeError(
            f"flow: expected a distribution over images, got {shortened(flow)}."
        )
    pixels = as_pixels(flow, images, seed=seed)
    vectors = condition_vectors(flow, condition, len(pixels))

    def score(pixels: np.ndarray, vectors: np.ndarray | None) -> np.ndarray:
        kwargs = distribution_kwargs(flow, condition=vectors)
        return flow.log_prob(tf.constant(pixels), **kwargs).numpy()

    log_prob = map_batches(score, pixels, vectors, batch_size=batch_size)
    is_nan = np.isnan(log_prob)
    if is_nan.any():
        raise FloatingPointError(
            "log_prob: expected numbers, got NaN for image "
            f"{int(np.argmax(is_nan))} of {len(is_nan)}."
        )
    return bits_per_dim(log_prob.astype(np.float64), flow.event_shape)
