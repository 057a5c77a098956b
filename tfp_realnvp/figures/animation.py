"""Animated PNG files, which browsers play and other programs show the start of."""

from __future__ import annotations

import os

import numpy as np

from tfp_realnvp.files import atomic_path
from tfp_realnvp.optional import require


def write_animation(
    path: str | os.PathLike, frames: np.ndarray, *, milliseconds: int = 150
) -> None:
    """Writes pictures as an animated PNG that loops.

    Args:
      path: Where to write it.
      frames: `uint8` array of shape [N, height, width, 1 or 3].
      milliseconds: Python `int`, how long each is shown.

    Raises:
      ImportError: If Pillow is not installed.
      ValueError: If `frames` are no pictures, or none.
    """
    if frames.ndim != 4 or frames.dtype != np.uint8 or len(frames) == 0:
        raise ValueError(
            "frames: expected uint8 of shape (N, height, width, channels) with N > 0, "
            f"got {frames.dtype} of shape {frames.shape}."
        )
    image = require("PIL.Image", "an animation", extra="demo")
    if frames.shape[-1] == 1:
        frames = frames[..., 0]
    first, *others = (image.fromarray(frame) for frame in frames)
    with atomic_path(path) as temporary:
        first.save(
            temporary,
            format="PNG",
            save_all=True,
            append_images=others,
            duration=milliseconds,
            # For ever.
            loop=0,
        )
