"""Many images in one."""

from __future__ import annotations

import os
from collections.abc import Collection

import numpy as np
import tensorflow as tf

from tfp_realnvp.files import atomic_path

_RED = (220, 30, 30)


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Returns real-valued pixels as the 8-bit pixels they are jittered versions of."""
    return np.clip(np.floor(pixels), 0, 255).astype(np.uint8)


def image_grid(
    images: np.ndarray,
    *,
    columns: int,
    scale: int = 1,
    gap: int = 1,
    marked: Collection[int] = (),
) -> np.ndarray:
    """Returns the images side by side, row after row.

    Args:
      images: `uint8` array of shape [N, height, width, channels].
      columns: Python `int`, images in a row.
      scale: Python `int`; each pixel becomes a square of this side.
      gap: Python `int`, width of the white lines between images, in pixels of the
        result.
      marked: Numbers of images to draw a red border on; the picture has colours then.

    Returns:
      `uint8` array of shape [grid_height, grid_width, channels].

    Raises:
      ValueError: If `images` is not a batch of images, or empty.
    """
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(
            "images: expected shape (N, height, width, channels) with N > 0, got "
            f"{images.shape}."
        )
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    if marked:
        images = _with_borders(images, marked)
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    grid = np.full(
        [rows * (height + gap) - gap, columns * (width + gap) - gap, channels],
        255,
        np.uint8,
    )
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        grid[top : top + height, left : left + width] = image
    return grid


def _with_borders(images: np.ndarray, marked: Collection[int]) -> np.ndarray:
    images = np.repeat(images, 3 // images.shape[-1], axis=-1)
    width = max(1, min(images.shape[1:3]) // 24)
    for i in marked:
        inside = images[i, width:-width, width:-width].copy()
        images[i] = _RED
        images[i, width:-width, width:-width] = inside
    return images


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a `uint8` image of shape [height, width, 1 or 3]."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(tf.io.encode_png(image).numpy())
