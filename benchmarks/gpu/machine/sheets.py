"""Images that travel as lossless sheets, 100 by 100 images of one size in each."""

import concurrent.futures

import numpy as np
from PIL import Image

_SIDE = 32


def read_sheets(paths, count=None):
    """Returns the first images, all if `count` is `None`: `uint8` [N, 32, 32, 3]."""
    with concurrent.futures.ThreadPoolExecutor() as threads:
        return np.concatenate(list(threads.map(_read, paths)))[:count]


def _read(path):
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    rows, columns = (length // _SIDE for length in pixels.shape[:2])
    tiles = pixels.reshape(rows, _SIDE, columns, _SIDE, 3).transpose(0, 2, 1, 3, 4)
    return tiles.reshape(-1, _SIDE, _SIDE, 3)
