"""What several figures need."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tfp_realnvp.figures.catalog.figure import Number, Subject
from tfp_realnvp.figures.grid import image_grid
from tfp_realnvp.figures.measures import image_bits_per_dim

BITS = "bits/dim"
# Small images are enlarged to this side.
_SEEN = 64


def rows_of(
    images: np.ndarray,
    *,
    columns: int,
    marked: Collection[int] = (),
    side: int | None = None,
) -> np.ndarray:
    """Returns images as a picture, row after row.

    Args:
      images: `uint8` array of shape [N, height, width, channels].
      columns: Python `int`, images in a row.
      marked: Numbers of images that get a red border.
      side: Python `int`, the side that is enlarged until a person can see it; `None`
        is that of the images.
    """
    scale = max(1, _SEEN // (side or images.shape[1]))
    return image_grid(images, columns=columns, scale=scale, gap=2, marked=marked)


def bits(
    subject: Subject, images: np.ndarray, condition: np.ndarray | None
) -> np.ndarray:
    """Returns the bits/dim of each image under the flow."""
    return image_bits_per_dim(
        subject.flow, images, condition=condition, seed=subject.seed
    )


def reconstruction(before: np.ndarray, after: np.ndarray) -> dict[str, Number]:
    """Returns how well images come back from their latents."""
    error = np.abs(before.astype(int) - after).max()
    return {
        "reconstruction_psnr": Number.pooled_psnr(
            before, after, "of images that were encoded and decoded, to themselves"
        ),
        "reconstruction_error": Number(
            float(error), "grey levels", "largest error of these"
        ),
    }


def change(before: np.ndarray, after: np.ndarray, meaning: str) -> Number:
    """Returns how much dearer each image has become, from the bits/dim of each."""
    return Number.mean(after - before, BITS, meaning)


def difference(before: np.ndarray, after: np.ndarray, meaning: str) -> Number:
    """Returns how much dearer some images are than others, from the bits/dim."""
    return Number(float(after.mean() - before.mean()), BITS, meaning)
