"""The manifold that encoded images span (Eq. 14, Figures 6 and 12-16)."""

from __future__ import annotations

import numpy as np
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_int
from tfp_realnvp.figures.latents import (
    as_pixels,
    check_flow,
    decode_latents,
    encode_images,
)
from tfp_realnvp.figures.sphere import sphere_weights
from tfp_realnvp.flows.call_arguments import condition_vectors
from tfp_realnvp.machine import check_fits


def latent_manifold(
    flow: tfd.Distribution,
    images: np.ndarray,
    *,
    angles: int = 8,
    condition: np.ndarray | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Returns images on the manifold that four encoded images span.

    ```none
    z = cos(phi) (cos(phi') z_1 + sin(phi') z_2)
        + sin(phi) (cos(phi') z_3 + sin(phi') z_4)
    ```

    As in the paper's figures `phi` grows from left to right and `phi'` from top to
    bottom, in steps of `2 pi / angles`. With `angles=8` the given images themselves,
    as the flow reconstructs them, are at rows and columns (0, 0), (2, 0), (0, 2) and
    (2, 2).

    Where the flow takes a condition, that of a point is the mean of the given ones,
    weighted by the squares of the latents' weights, which sum to 1. So it is as smooth
    as the manifold, and each image's own where the image is.

    Args:
      flow: Transformed distribution from `image_flow`.
      images: Array of shape [4, height, width, channels], as for `encode_images`.
      angles: Python `int`, number of values of each angle.
      condition: Labels or vectors of the four images, if the flow takes a condition.
      seed: Python `int`, of the noise.

    Returns:
      `uint8` array of shape [angles, angles, height, width, channels].

    Raises:
      ValueError: If there are not four images, `angles` is not positive, or images or
        condition do not fit the flow.
    """
    images = _checked(flow, images, 4, seed, angles=angles)
    return _decoded(flow, images, manifold_weights(angles), condition, seed)


def manifold_animation(
    flow: tfd.Distribution,
    images: np.ndarray,
    *,
    frames: int = 16,
    angles: int = 8,
    condition: np.ndarray | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Returns the manifold that eight encoded images span, as frames that loop.

    The third angle is time:

    ```none
    z = cos(phi'') z_{1..4}(phi, phi') + sin(phi'') z_{5..8}(phi, phi')
    ```

    with Equation 14 for both, see `latent_manifold`. Frame 0 is that manifold of the
    first four images, frame `frames / 4` that of the last four, and the frame after
    the last would be the first again.

    Args:
      flow: Transformed distribution from `image_flow`.
      images: Array of shape [8, height, width, channels], as for `encode_images`.
      frames: Python `int`, number of values of the third angle.
      angles: Python `int`, number of values of the other two.
      condition: Labels or vectors of the eight images, if the flow takes a condition.
      seed: Python `int`, of the noise.

    Returns:
      `uint8` array of shape [frames, angles, angles, height, width, channels].

    Raises:
      ValueError: If there are not eight images, a number is not positive, or images
        or condition do not fit the flow.
    """
    images = _checked(flow, images, 8, seed, frames=frames, angles=angles)
    weights = manifold_weights(angles, frames=frames)
    return _decoded(flow, images, weights, condition, seed)


def manifold_weights(angles: int, *, frames: int | None = None) -> np.ndarray:
    """Returns the weights of the images' latents at each point.

    Args:
      angles: As for `latent_manifold`.
      frames: As for `manifold_animation`; `None` is for a manifold that stands still.

    Returns:
      `float64` array of shape [angles, angles, 4], or [frames, angles, angles, 8].
    """
    turns = _turns(angles)
    if frames is None:
        return np.array([[sphere_weights(x, y) for x in turns] for y in turns])
    return np.array(
        [
            [[sphere_weights(time, x, y) for x in turns] for y in turns]
            for time in _turns(frames)
        ]
    )


def _checked(
    flow: tfd.Distribution, images: np.ndarray, wanted: int, seed: int, **numbers: int
) -> np.ndarray:
    """Returns images with noise, if there are as many as wanted and all else fits."""
    check_flow(flow)
    images = as_pixels(flow, images, seed=seed)
    if len(images) != wanted:
        raise ValueError(f"images: expected {wanted}, got {len(images)}.")
    for name, value in numbers.items():
        check_int(name, value)
    angles, frames = numbers["angles"], numbers.get("frames", 1)
    # Latents and images of every point, and its weights.
    size = 4 * flow.event_shape.num_elements() * flow.dtype.size + 32 * wanted
    name = max(numbers, key=lambda key: numbers[key])
    check_fits(name, numbers[name], angles**2 * frames * size, "manifolds")
    return images


def _turns(count: int) -> np.ndarray:
    return np.arange(count) * 2 * np.pi / count


def _decoded(
    flow: tfd.Distribution,
    images: np.ndarray,
    weights: np.ndarray,
    condition: np.ndarray | None,
    seed: int,
) -> np.ndarray:
    """Returns the images of mixtures, for weights of shape [..., number of images]."""
    vectors = condition_vectors(flow, condition, len(images))
    latents = encode_images(flow, images, condition=vectors, seed=seed)
    # Half a turn of any two angles leads back to the same point: of two angles' grid
    # only half are different, of three angles' a quarter. Rounding shows which, and
    # adding zero makes one of its two signs.
    rounded = np.round(weights.reshape(-1, len(images)), 9) + 0.0
    distinct, places = np.unique(rounded, axis=0, return_inverse=True)
    mixed = np.einsum("pn,n...->p...", distinct, latents)
    mixed_vectors = None if vectors is None else np.square(distinct) @ vectors
    decoded = decode_latents(flow, mixed, condition=mixed_vectors)
    return decoded[places.ravel()].reshape(*weights.shape[:-1], *images.shape[1:])
