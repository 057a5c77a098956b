"""Mixing latents so that they stay where a Gaussian has its mass."""

from __future__ import annotations

import numpy as np


def sphere_weights(*angles: float) -> np.ndarray:
    """Returns weights of points on a sphere that `2**n` points span.

    With one angle `cos(phi), sin(phi)`; each further angle, taken as the outer one,
    joins two such sets, so that two are Equation 14:

    ```none
    (cos(phi) cos(phi'), cos(phi) sin(phi'), sin(phi) cos(phi'), sin(phi) sin(phi'))
    ```

    Squares of the weights sum to 1: latents that are independent and Gaussian are
    mixed into such ones.

    Args:
      *angles: Python `float`s in radians, outermost first.

    Returns:
      `float64` array of shape [2**n].
    """
    weights: np.ndarray = np.ones(1)
    for angle in reversed(angles):
        weights = np.kron([np.cos(angle), np.sin(angle)], weights)
    return weights


def great_circle(first: np.ndarray, second: np.ndarray, place: float) -> np.ndarray:
    """Returns the point at a place between two, along a great circle.

    The direction turns evenly from that of the first point to that of the second,
    while the norm goes evenly from one to the other. A straight line would pass
    latents of a norm that no image has: in the middle it is smaller by the factor
    0.71.

    Args:
      first: Array of shape [N, ...], N points.
      second: Array of the same shape.
      place: Python `float`, 0 for the first point, 1 for the second.

    Returns:
      Array of the same shape.
    """
    axes = tuple(range(1, first.ndim))

    def norm(x: np.ndarray) -> np.ndarray:
        return np.sqrt(np.square(x).sum(axis=axes, keepdims=True))

    a, b = norm(first), norm(second)
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = first / a, second / b
        cosine = np.clip((u * v).sum(axis=axes, keepdims=True), -1, 1)
        angle = np.arccos(cosine)
        turned = np.sin((1 - place) * angle) * u + np.sin(place * angle) * v
        curved = ((1 - place) * a + place * b) * turned / np.sin(angle)
    straight = (1 - place) * first + place * second
    # Points of one direction, of opposite ones, or zero have no such circle.
    return np.where(np.sin(angle) > 1e-4, curved, straight)
