"""Bedrooms, towers and churches."""

from __future__ import annotations

import functools
import itertools
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from tfp_realnvp.arguments import check_int, require
from tfp_realnvp.data.cache import kept_array
from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.image_file import UnreadableImage, decode_image
from tfp_realnvp.data.image_split import ImageSplit, random_squares

# With the size of the archive to download.
CATEGORIES = {"bedroom": "42.8 GiB", "church_outdoor": "2.3 GiB", "tower": "11.2 GiB"}
_URL = "http://dl.yf.io/lsun/scenes"
_SMALLEST_SIDE = 96


def load_lsun(
    category: str, data_dir: str | os.PathLike | None = None, image_size: int = 64
) -> ImageData:
    """Returns LSUN's photographs of one category, 256 pixels high or wide.

    LSUN's own databases are read; their 300 validation images are for testing. As in
    the paper, each is scaled until its smaller side has 96 pixels, and a random crop is
    taken, to train with another one in every epoch. Of all Pillow's filters Hamming's
    comes closest to the paper's released code (a mean difference of 1 in 256).
    """
    check_int("image_size", image_size, most=_SMALLEST_SIDE)
    require("lmdb", "an LSUN data set", extra="lsun")
    folders = [_find(category, part, data_dir) for part in ("train", "val")]
    shape = (image_size, image_size, 3)
    train, test = (_random_crops(folder, shape) for folder in folders)
    train, validation = train.take_out()
    return ImageData(f"lsun_{category}", shape, train, validation, test, flips=True)


def _find(category: str, part: str, data_dir: str | os.PathLike | None) -> pathlib.Path:
    name = f"{category}_{part}_lmdb"
    if data_dir is not None:
        folder = pathlib.Path(data_dir).expanduser() / name
        if (folder / "data.mdb").is_file():
            return folder.resolve()
    where = "FOLDER" if data_dir is None else data_dir
    archives = [f"{category}_{part}_lmdb.zip" for part in ("train", "val")]
    commands = "; ".join(
        f"curl -L -C - -O {_URL}/{archive} && unzip {archive} -d {where}"
        for archive in archives
    )
    raise FileNotFoundError(
        f"dataset: expected {name}/data.mdb in the folder that data_dir (--data-dir) "
        f"names, got {data_dir}. Download LSUN's {category} once, "
        f"{CATEGORIES[category]} and as much again unpacked: {commands}"
    )


def _random_crops(folder: pathlib.Path, shape: tuple[int, int, int]) -> ImageSplit:
    keys = _keys(folder)

    def photo(number: int) -> np.ndarray:
        key = bytes(keys[number])
        with _environment(folder).begin() as transaction:
            encoded = transaction.get(key, b"")
        # LSUN's export program calls the values WebP, its README JPEG. Pillow tells.
        try:
            image = decode_image(encoded)
        except UnreadableImage as error:
            raise ValueError(
                f"dataset: expected a whole image {key.decode()} in {folder}, got "
                f"{len(encoded)} bytes that cannot be read ({error}). Unpack or "
                f"download the archive again, and remove {folder.name}-keys*.npy, the "
                "list of its images."
            ) from error
        scale = _SMALLEST_SIDE / min(image.size)
        width, height = (max(_SMALLEST_SIDE, round(s * scale)) for s in image.size)
        return np.asarray(image.resize((width, height), Image.Resampling.HAMMING))

    return random_squares(photo, len(keys), shape)


@functools.cache
def _environment(folder: pathlib.Path) -> Any:
    """Returns the open database; LMDB allows a process to open it once."""
    import lmdb

    # Nobody writes: without locks a folder that is read-only will do. Without
    # readahead every 4 KiB of an image would be read from disk on their own.
    return lmdb.open(str(folder), readonly=True, lock=False)


def _keys(folder: pathlib.Path) -> np.ndarray:
    """Returns the names of all images; their list is kept, for it takes long."""
    with _environment(folder).begin() as transaction:
        count = transaction.stat()["entries"]
        first = next(transaction.cursor().iternext(values=False), b"")
    if not first:
        raise ValueError(f"dataset: expected images in {folder}, got none.")
    dtype = f"S{len(first)}"

    def pieces() -> Iterator[np.ndarray]:
        with _environment(folder).begin() as transaction:
            keys = transaction.cursor().iternext(values=False)
            while piece := list(itertools.islice(keys, 10_000)):
                yield np.array(piece, dtype)

    return kept_array(folder, f"{folder.name}-keys", (count,), dtype, pieces)
