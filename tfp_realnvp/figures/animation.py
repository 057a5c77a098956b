"""Animated PNG files, which browsers play and other programs show the start of."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

from tfp_realnvp.arguments import check_int, check_path
from tfp_realnvp.figures.grid import checked_pictures
from tfp_realnvp.files import atomic_path


def write_animation(
    path: str | os.PathLike, frames: np.ndarray, *, milliseconds: int = 150
) -> None:
    """Writes pictures as an animated PNG that loops.

    Args:
      path: Where to write it.
      frames: `uint8` array of shape [N, height, width, 1 or 3].
      milliseconds: Python `int`, how long each is shown.

    Raises:
      ValueError: If `frames` are no pictures, or none.
    """
    check_path("path", path)
    frames = checked_pictures("frames", frames, channels=(1, 3))
    # The format has two bytes for it.
    check_int("milliseconds", milliseconds, least=0, most=2**16 - 1)
    if frames.shape[-1] == 1:
        frames = frames[..., 0]
    first, *others = (Image.fromarray(frame) for frame in frames)
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
