"""Interpolation and compression in latents (Eq. 14, Fig. 6 and 12-16, App. D)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_int
from tfp_realnvp.figures.latents import (
    decode_latents,
    draw_latents,
    encode_images,
    innermost_bijector,
)
from tfp_realnvp.flows import RealNVPBijector
from tfp_realnvp.flows.call_arguments import condition_vectors

# Enough scales for the 1/16 of latents that the paper keeps.
MOST_LEVELS = 5


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

    `phi` grows from left to right and `phi'` from top to bottom, in steps of
    `2 pi / angles`. With `angles=8` the given images, as the flow reconstructs them,
    are at rows and columns (0, 0), (2, 0), (0, 2) and (2, 2).

    The condition of a point is the mean of the given ones, weighted by the squares of
    the latents' weights, which sum to 1.

    Args:
      flow: Transformed distribution from `image_flow`.
      images: Array of shape [4, height, width, channels], as for `encode_images`.
      angles: Python `int`, number of values of each angle.
      condition: Labels or vectors, one for each image, if the flow takes a condition.
      seed: Python `int`, of the dequantization noise.

    Returns:
      `uint8` array of shape [angles, angles, height, width, channels].

    Raises:
      ValueError: If there are not four images, or an argument does not fit the flow.
    """
    return mixtures(flow, images, manifold_weights(angles), condition, seed)[0]


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

    ```none
    z = cos(phi'') z_{1..4}(phi, phi') + sin(phi'') z_{5..8}(phi, phi')
    ```

    Both parts are Equation 14, see `latent_manifold`; the third angle is time. Frame 0
    is the manifold of the first four images, frame `frames / 4` that of the others, and
    the first frame follows the last.

    Args:
      flow: Transformed distribution from `image_flow`.
      images: Array of shape [8, height, width, channels], as for `encode_images`.
      frames: Python `int`, number of values of the third angle.
      angles: As for `latent_manifold`.
      condition: As for `latent_manifold`.
      seed: As for `latent_manifold`.

    Returns:
      `uint8` array of shape [frames, angles, angles, height, width, channels].

    Raises:
      ValueError: If there are not eight images, or an argument does not fit the flow.
    """
    weights = manifold_weights(angles, frames=frames)
    return mixtures(flow, images, weights, condition, seed)[0]


def manifold_weights(angles: int, *, frames: int | None = None) -> np.ndarray:
    """Returns weights of latents, [angles, angles, 4] or [frames, angles, angles, 8].

    Their squares sum to 1, so that mixtures of independent Gaussian latents have the
    same distribution.
    """

    def circle(name: str, count: int) -> np.ndarray:
        check_int(name, count)
        turns = np.arange(count) * 2 * np.pi / count
        return np.stack([np.cos(turns), np.sin(turns)], axis=1)

    turns = circle("angles", angles)
    weights = np.einsum("xa,yb->yxab", turns, turns).reshape(angles, angles, 4)
    if frames is None:
        return weights
    weights = np.einsum("tc,yxn->tyxcn", circle("frames", frames), weights)
    return weights.reshape(frames, angles, angles, 8)


def mixtures(
    flow: tfd.Distribution,
    images: np.ndarray,
    weights: np.ndarray,
    condition: np.ndarray | None,
    seed: int,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns images of mixed latents, by weights [..., N], and their conditions."""
    if len(images) != weights.shape[-1]:
        raise ValueError(f"images: expected {weights.shape[-1]}, got {len(images)}.")
    latents = encode_images(flow, images, condition=condition, seed=seed)
    # Half a turn of two angles leads back to the same point: only half of a grid of two
    # angles is distinct, and a quarter of one of three. Rounding makes equal points
    # equal, and adding zero turns -0 into 0.
    rounded = np.round(weights.reshape(-1, len(images)), 9) + 0.0
    distinct, places = np.unique(rounded, axis=0, return_inverse=True)
    places = places.ravel()
    mixed = np.einsum("pn,n...->p...", distinct, latents)
    vectors = condition_vectors(flow, condition, len(images))
    if vectors is not None:
        vectors = np.square(distinct) @ vectors
    decoded = decode_latents(flow, mixed, condition=vectors)[places]
    decoded = decoded.reshape(*weights.shape[:-1], *latents.shape[1:])
    return decoded, None if vectors is None else vectors[places]


def interpolations(
    flow: tfd.Distribution,
    first: np.ndarray,
    second: np.ndarray,
    *,
    steps: int = 8,
    condition: np.ndarray | tuple | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Returns images on a path from each first image to its second one.

    The path is an arc in latent space: a Gaussian in many dimensions has its mass near
    a sphere, which a straight line would leave. Direction and norm change evenly. The
    ends are the images themselves, as the flow reconstructs them.

    Args:
      flow: Transformed distribution from `image_flow`.
      first: Array of shape [N, height, width, channels], as for `encode_images`.
      second: Array of the same shape.
      steps: Python `int`, number of images on the path, with its ends; at least 2.
      condition: If the flow takes a condition: N labels or vectors, one for both images
        of a pair; or a `tuple` of those of the first and of the second images, which
        are mixed linearly on the path.
      seed: Python `int`, of the dequantization noise.

    Returns:
      `uint8` array of shape [N, steps, height, width, channels].

    Raises:
      ValueError: If `steps` is too small, `first` and `second` differ in shape, or an
        argument does not fit the flow.
    """
    check_int("steps", steps, least=2)
    if np.shape(first) != np.shape(second):
        raise ValueError(
            f"second: expected the shape of first, {np.shape(first)}, got "
            f"{np.shape(second)}."
        )
    if not isinstance(condition, tuple):
        condition = condition, condition
    # With one seed, equal images of a pair have equal latents.
    begin = encode_images(flow, first, condition=condition[0], seed=seed)
    end = encode_images(flow, second, condition=condition[1], seed=seed)
    of_first, of_second = (condition_vectors(flow, c, len(begin)) for c in condition)
    images = []
    for t in np.linspace(0, 1, steps):
        mixed = None if of_first is None else (1 - t) * of_first + t * of_second
        latents = great_circle(begin, end, t)
        images.append(decode_latents(flow, latents, condition=mixed))
    return np.stack(images, axis=1)


def great_circle(first: np.ndarray, second: np.ndarray, place: float) -> np.ndarray:
    """Returns points on great circles from `first` to `second`, at a place in [0, 1].

    On a straight line the latents would have a norm that no image has: in the middle it
    is smaller by a factor of 0.71.
    """
    axes = tuple(range(1, first.ndim))
    a, b = (np.sqrt(np.square(x).sum(axes, keepdims=True)) for x in (first, second))
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = first / a, second / b
        angle = np.arccos(np.clip((u * v).sum(axes, keepdims=True), -1, 1))
        turned = np.sin((1 - place) * angle) * u + np.sin(place * angle) * v
        curved = ((1 - place) * a + place * b) * turned / np.sin(angle)
    straight = (1 - place) * first + place * second
    # Points in equal or opposite directions, or at zero, define no circle.
    return np.where(np.sin(angle) > 1e-4, curved, straight)


def conceptual_compression(
    flow: tfd.Distribution,
    images: np.ndarray,
    *,
    kept: Sequence[float] | None = None,
    condition: np.ndarray | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Returns images of which only the coarsest latents are kept.

    The others are drawn anew from the base distribution, the same for every fraction.
    Each scale that is drawn anew, from the finest on, halves the latents that are kept.

    Args:
      flow: Transformed distribution from `image_flow`.
      images: Array of shape [N, height, width, channels], as for `encode_images`.
      kept: Sequence of fractions of the latents, out of `kept_fractions`; `None` is all
        of them down to 1/16.
      condition: Labels or vectors, one for each image, if the flow takes a condition.
      seed: Python `int`, of the dequantization noise and of the latents that are drawn.

    Returns:
      `uint8` array of shape [len(kept), N, height, width, channels].

    Raises:
      ValueError: If a fraction is not one of `kept_fractions`, or images or condition
        do not fit the flow.
    """
    allowed = kept_fractions(flow)
    kept = allowed[:MOST_LEVELS] if kept is None else kept
    for fraction in kept:
        if fraction not in allowed:
            raise ValueError(f"kept: expected some of {allowed}, got {fraction}.")
    latents = encode_images(flow, images, condition=condition, seed=seed)
    fresh = draw_latents(flow, len(images), seed=seed, condition=condition)
    bijector = _scales_of(flow)
    old, new = (bijector.split_latent(tf.constant(z)) for z in (latents, fresh))
    mixed = [
        bijector.merge_latent([*new[:scales], *old[scales:]])
        for scales in map(allowed.index, kept)
    ]
    return np.stack([decode_latents(flow, z, condition=condition) for z in mixed])


def kept_fractions(flow: tfd.Distribution) -> list[float]:
    """Returns the fractions of latents that remain without the finest scales.

    Raises:
      ValueError: If the bijector next to the flow's base is not a `RealNVPBijector`.
    """
    return [0.5**i for i in range(_scales_of(flow).num_scales)]


def _scales_of(flow: tfd.Distribution) -> RealNVPBijector:
    bijector = innermost_bijector(flow)
    if not isinstance(bijector, RealNVPBijector):
        raise ValueError(
            "flow: expected a RealNVPBijector next to the base distribution, got "
            f"{type(bijector).__name__}."
        )
    return bijector
