"""Figures of the latent space: what is between images, and in their latents."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from tfp_realnvp.figures.catalog.common import (
    bits,
    change,
    difference,
    reconstruction,
    rows_of,
)
from tfp_realnvp.figures.catalog.figure import Figure, Number, Subject
from tfp_realnvp.figures.compression import conceptual_compression, kept_fractions
from tfp_realnvp.figures.interpolation import interpolations
from tfp_realnvp.figures.manifold import (
    latent_manifold,
    manifold_animation,
    manifold_weights,
)
from tfp_realnvp.flows.call_arguments import condition_vectors

# With these a quarter of a turn, where the images are, is two steps.
_ANGLES = 8
_PLACES = (0, 16, 2, 18)
_FRAMES = 16
_ROWS = 8
_STEPS = 8


def manifold(subject: Subject) -> Iterator[Figure]:
    """Yields the manifold of four test images (Eq. 14)."""
    images, condition = subject.examples(4)
    found = latent_manifold(
        subject.flow, images, angles=_ANGLES, condition=condition, seed=subject.seed
    )
    flat = _flat(found, images)
    own_bits = bits(subject, images, condition)
    mixed = _mixed_conditions(subject, condition, manifold_weights(_ANGLES))
    yield Figure(
        "manifold",
        rows_of(flat, columns=_ANGLES, marked=_PLACES),
        "The manifold that four test images (red) span in latent space (Eq. 14). From "
        "left to right phi grows, from top to bottom phi', each by a full turn.",
        {
            **reconstruction(images, flat[list(_PLACES)]),
            "bits_per_dim_change": difference(
                own_bits,
                bits(subject, flat, mixed),
                "mean of all images on the manifold, less that of the four",
            ),
        },
    )


def animation(subject: Subject) -> Iterator[Figure]:
    """Yields the manifold of eight test images, with the third angle as time."""
    images, condition = subject.examples(8)
    found = manifold_animation(
        subject.flow,
        images,
        frames=_FRAMES,
        angles=_ANGLES,
        condition=condition,
        seed=subject.seed,
    )
    first, last = (_flat(found[k], images) for k in (0, _FRAMES // 4))
    shown = np.concatenate([first[list(_PLACES)], last[list(_PLACES)]])
    between = _FRAMES // 8
    weights = manifold_weights(_ANGLES, frames=_FRAMES)[between]
    mixed = _mixed_conditions(subject, condition, weights)
    own_bits = bits(subject, images, condition)
    flat = found.reshape(_FRAMES, -1, *images.shape[1:])
    steps = [
        Number.pooled_psnr(
            flat[i - 1], flat[i], "between frames that follow each other, in the loop"
        )
        for i in range(_FRAMES)
    ]
    yield Figure(
        "animation",
        np.stack([rows_of(frame, columns=_ANGLES) for frame in flat]),
        "The manifold that eight test images span, with three angles; the third is "
        "time, a full turn of which is the loop. Programs that know no animated PNG "
        "show the first frame, the manifold of four images.",
        {
            **reconstruction(images, shown),
            "bits_per_dim_change": difference(
                own_bits,
                bits(subject, flat[between], mixed),
                f"mean of frame {between}, halfway from the first four images to the "
                "others, less that of the eight",
            ),
            "smallest_psnr_of_steps": min(
                steps, key=lambda n: math.inf if n.value is None else n.value
            ),
        },
    )


def compression(subject: Subject) -> Iterator[Figure]:
    """Yields images of which ever fewer latents are kept (App. D)."""
    images, condition = subject.examples(_ROWS)
    levels = conceptual_compression(
        subject.flow, images, condition=condition, seed=subject.seed
    )
    own_bits = bits(subject, images, condition)
    fractions = kept_fractions(subject.flow)[: len(levels)]
    numbers = reconstruction(images, levels[0])
    for fraction, level in zip(fractions[1:], levels[1:], strict=True):
        name = f"{fraction:g}"
        meaning = f"of the images to those of which {fraction:.4g} of latents are kept"
        numbers[f"psnr_{name}"] = Number.pooled_psnr(images, level, meaning)
        numbers[f"bits_per_dim_change_{name}"] = change(
            own_bits, bits(subject, level, condition), meaning
        )
    percents = ", ".join(f"{100 * f:g} %" for f in fractions)
    yield Figure(
        "compression",
        rows_of(np.concatenate(levels.swapaxes(0, 1)), columns=len(levels)),
        f"Test images of whose latents, from left to right, {percents} are kept, the "
        "coarsest; the others are drawn anew.",
        numbers,
    )


def compression_obstacle(subject: Subject) -> str | None:
    """Returns why there are no fractions of latents to keep, or `None`."""
    if len(kept_fractions(subject.flow)) < 2:
        return "its single scale has no latents that are coarser than others"
    return None


def interpolation(subject: Subject) -> Iterator[Figure]:
    """Yields the ways between pairs of test images."""
    rows = min(_ROWS, subject.data.test.count // 2)
    images, condition = subject.examples(2 * rows)
    first, second = images[:rows], images[rows:]
    conditions = None if condition is None else (condition[:rows], condition[rows:])
    found = interpolations(
        subject.flow,
        first,
        second,
        steps=_STEPS,
        condition=conditions,
        seed=subject.seed,
    )
    ends = np.concatenate([found[:, 0], found[:, -1]])
    middle = None
    vectors = condition_vectors(subject.flow, condition, 2 * rows)
    if vectors is not None:
        place = (_STEPS // 2) / (_STEPS - 1)
        middle = (1 - place) * vectors[:rows] + place * vectors[rows:]
    own_bits = bits(subject, images, condition)
    yield Figure(
        "interpolation",
        rows_of(np.concatenate(found), columns=_STEPS),
        "Ways between pairs of test images, which are left and right, along arcs in "
        "latent space.",
        {
            **reconstruction(images, ends),
            "bits_per_dim_change": change(
                (own_bits[:rows] + own_bits[rows:]) / 2,
                bits(subject, found[:, _STEPS // 2], middle),
                "of the images in the middle, less the mean of the two ends",
            ),
        },
    )


def obstacle_of(wanted: int) -> Callable[[Subject], str | None]:
    """Returns a function that tells why a figure of so many images cannot be had."""

    def obstacle(subject: Subject) -> str | None:
        there = subject.data.test.count
        if there < wanted:
            return f"it takes {wanted} test images, and there are {there}"
        return None

    return obstacle


def _flat(manifold: np.ndarray, images: np.ndarray) -> np.ndarray:
    return manifold.reshape(-1, *images.shape[1:])


def _mixed_conditions(
    subject: Subject, condition: np.ndarray | None, weights: np.ndarray
) -> np.ndarray | None:
    """Returns the conditions of the points of a manifold."""
    vectors = condition_vectors(subject.flow, condition, weights.shape[-1])
    if vectors is None:
        return None
    return np.square(weights.reshape(-1, len(vectors))) @ vectors
