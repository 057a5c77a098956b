"""Bedrooms, towers and churches."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from tfp_realnvp.arguments import check_choice, check_int
from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.image_file import UnreadableImage, decode_image
from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.data.memory_mapped import kept_array
from tfp_realnvp.optional import require

# With the size of the archive to download.
CATEGORIES = {"bedroom": "42.8 GiB", "church_outdoor": "2.3 GiB", "tower": "11.2 GiB"}
_URL = "http://dl.yf.io/lsun/scenes"
_SMALLEST_SIDE = 96
# Longer when scaled, one would fill memory.
_LONGEST_SIDE = 100 * _SMALLEST_SIDE
_KEYS_AT_ONCE = 10_000


def load_lsun(
    category: str, data_dir: str | os.PathLike | None = None, image_size: int = 64
) -> ImageData:
    """Returns LSUN's photographs of one category, 256 pixels high or wide.

    They are read from LSUN's own databases, whose 300 validation images are for
    testing; 1,000 training images are taken out for validation. As in the paper, each
    is scaled until its smaller side has 96 pixels, and a random crop of it is taken:
    another one in every epoch of training, and always the same for validation and
    testing. Images are scaled with Pillow's Hamming filter, which of all its filters
    comes closest to what the paper's released code does (a mean difference of 1 in
    256).

    Which images there are is read once, which means reading all of them, and kept
    beside the database, or where the environment variable `TFP_REALNVP_CACHE` says.

    Args:
      category: Python `str`, `"bedroom"`, `"church_outdoor"` or `"tower"`.
      data_dir: Folder with the unpacked folders `CATEGORY_train_lmdb` and
        `CATEGORY_val_lmdb`.
      image_size: Python `int`, side of the crops, from 1 to 96.

    Raises:
      FileNotFoundError: If the databases are not there.
      ImportError: If lmdb is not installed.
      ValueError: If `category` or `image_size` is out of range, or the databases are
        damaged.
    """
    check_choice("category", category, CATEGORIES)
    check_int("image_size", image_size, most=_SMALLEST_SIDE)
    require("lmdb", "an LSUN data set", extra="lsun")
    folders = [_find(category, part, data_dir) for part in ("train", "val")]
    train, test = (_random_crops(folder, image_size) for folder in folders)
    train, validation = train.take_out()
    return ImageData(
        name=f"lsun_{category}",
        event_shape=(image_size, image_size, 3),
        train=train,
        validation=validation,
        test=test,
        flips=True,
    )


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


def _random_crops(folder: pathlib.Path, image_size: int) -> ImageSplit:
    """Returns crops at the places that their seeds draw."""
    crops = _Crops(folder, _keys(folder), image_size)

    def images(numbers: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        places = tf.map_fn(
            lambda seed: tf.random.stateless_uniform([2], seed),
            seeds,
            fn_output_signature=tf.float32,
        )
        # One call for all images: calls wait for one another, but Pillow lets other
        # batches go on while it decodes.
        cropped = tf.numpy_function(crops, [numbers, places], tf.uint8, stateful=False)
        return tf.ensure_shape(cropped, [numbers.shape[0], image_size, image_size, 3])

    return ImageSplit(len(crops.keys), images)


@dataclasses.dataclass(frozen=True)
class _Crops:
    folder: pathlib.Path
    keys: np.ndarray
    image_size: int

    def __call__(self, numbers: np.ndarray, places: np.ndarray) -> np.ndarray:
        crops = np.empty([len(numbers), self.image_size, self.image_size, 3], np.uint8)
        with _environment(self.folder).begin() as transaction:
            for i, key in enumerate(self.keys[numbers]):
                photo = self._scaled(key, transaction.get(bytes(key)))
                room = np.subtract(photo.shape[:2], self.image_size)
                top, left = (places[i].astype(float) * (room + 1)).astype(int)
                crops[i] = photo[
                    top : top + self.image_size, left : left + self.image_size
                ]
        return crops

    def _scaled(self, key: bytes, encoded: bytes | None) -> np.ndarray:
        name = f"image {key.decode()} in {self.folder}"
        if encoded is None:
            raise ValueError(
                f"dataset: expected {name}, got none. Remove "
                f"{self.folder.name}-keys*.npy, which is another database's, from its "
                "folder or from the one that TFP_REALNVP_CACHE names."
            )
        # LSUN's export program calls the values WebP, its README JPEG. Pillow tells.
        try:
            photo = decode_image(encoded)
        except UnreadableImage as error:
            raise ValueError(
                f"dataset: expected a whole {name}, got {len(encoded)} bytes that "
                f"cannot be read ({error}). Unpack or download the archive again."
            ) from error
        scale = _SMALLEST_SIDE / min(photo.size)
        width, height = (max(_SMALLEST_SIDE, round(s * scale)) for s in photo.size)
        if max(width, height) > _LONGEST_SIDE:
            raise ValueError(
                "dataset: expected no side more than 100 times the other in "
                f"{name}, got {photo.width} x {photo.height} pixels."
            )
        return np.asarray(photo.resize((width, height), Image.Resampling.HAMMING))


@functools.cache
def _environment(folder: pathlib.Path) -> Any:
    """Returns the open database; LMDB allows a process to open it once."""
    import lmdb

    # Nobody writes: without locks a folder that is read-only will do. Without
    # readahead every 4 KiB of an image would be read from disk on their own.
    return lmdb.open(str(folder), readonly=True, lock=False)


def _keys(folder: pathlib.Path) -> np.ndarray:
    """Returns the names of all images, in their order."""
    with _environment(folder).begin() as transaction:
        count = transaction.stat()["entries"]
        first = next(transaction.cursor().iternext(values=False), b"")
    if not first:
        raise ValueError(f"dataset: expected images in {folder}, got none.")

    def pieces() -> Iterator[np.ndarray]:
        with _environment(folder).begin() as transaction:
            keys = transaction.cursor().iternext(values=False)
            while piece := list(itertools.islice(keys, _KEYS_AT_ONCE)):
                if any(len(key) != len(first) for key in piece):
                    raise ValueError(
                        f"dataset: expected keys of {len(first)} bytes in {folder}, "
                        "got others too."
                    )
                yield np.array(piece, f"S{len(first)}")

    return kept_array(folder, f"{folder.name}-keys", (count,), f"S{len(first)}", pieces)
