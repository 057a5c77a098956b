"""Images that travel as lossless sheets, 100 by 100 images of one size in each."""

from __future__ import annotations

import concurrent.futures
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

_SIDE = 32


def read_sheets(paths: Sequence[pathlib.Path], count: int | None = None) -> np.ndarray:
    """Returns the first images, all if `count` is `None`: `uint8` [N, 32, 32, 3]."""
    with concurrent.futures.ThreadPoolExecutor() as threads:
        return np.concatenate(list(threads.map(_read, paths)))[:count]


def _read(path: pathlib.Path) -> np.ndarray:
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    rows, columns = (length // _SIDE for length in pixels.shape[:2])
    tiles = pixels.reshape(rows, _SIDE, columns, _SIDE, 3).transpose(0, 2, 1, 3, 4)
    return tiles.reshape(-1, _SIDE, _SIDE, 3)
