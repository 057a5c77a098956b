"""A user's own images."""

from __future__ import annotations

import os
import pathlib
import stat
from collections.abc import Callable, Collection, Iterator

import numpy as np
import tensorflow as tf

from tfp_realnvp.data.archive import ARCHIVE_SUFFIXES, list_archive, read_archive
from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.image_file import (
    LARGEST_FILE,
    decode_image_file,
    is_image_name,
)
from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.data.progress import ProgressBar

_EVERY_NTH_IS_TEST = 10
_SPLITS = ("train", "validation", "test")


def load_folder(path: str | os.PathLike, image_size: int = 32) -> ImageData:
    """Returns the images below a folder, or in an archive, as squares of one size.

    Each image is scaled until its smaller side has `image_size` pixels, and its
    centre is taken. If there are subfolders `train` and `test`, they are the splits;
    otherwise every tenth image, in the order of their names, is for testing. A
    subfolder `validation` beside them is a split too; otherwise one training image in
    ten is taken out for validation, but no more than 1,000. In an archive the
    subfolders may lie in one folder that holds all the rest.

    Images and archives need not be trusted: archives are read without unpacking them
    to disk, and what is made to do harm is refused.

    Args:
      path: Folder with PNG, JPEG or BMP images, at any depth, or archive of them
        (`.zip`, `.tar`, `.tar.gz`, `.tgz`). Links are not followed. The largest file
        has 256 MiB and the largest image 89 million pixels, of which no side is more
        than 100 times the other.
      image_size: Python `int`, side of the squares.

    Raises:
      FileNotFoundError: If there is no such folder or archive.
      OSError: If a folder or a file may not be read.
      ValueError: If there are too few images, or one that is damaged or too large, or
        if an archive is damaged, or has a member with a name that leads out of it, a
        link, a device, an encrypted file, or one that unpacks to too much.
    """
    path = pathlib.Path(path)
    if image_size < 1:
        raise ValueError(f"image_size: expected a positive int, got {image_size}.")
    read: Callable[[pathlib.Path, Collection[str]], Iterator[tuple[str, bytes]]]
    if path.is_dir():
        names, skipped = _list_folder(path)
        read, top = _read_folder, ""
    elif path.is_file() and path.name.lower().endswith(ARCHIVE_SUFFIXES):
        names, skipped = list_archive(path), 0
        read, top = read_archive, _top_of(names)
    else:
        raise FileNotFoundError(
            "dataset: expected a folder of images, or an archive "
            f"({', '.join(ARCHIVE_SUFFIXES)}) of them, got {path!s}."
        )
    to_train, to_validate, to_test = _split(names, top)
    if len(to_train) + len(to_validate) < 2 or not to_train or not to_test:
        links = f" Links are not followed: {skipped} skipped." if skipped else ""
        raise ValueError(
            "dataset: expected at least 3 images (PNG, JPEG, BMP), to train, validate "
            f"and test, in {path!s}; got "
            f"{len(to_train) + len(to_validate) + len(to_test)}.{links}"
        )
    squares = _Squares([to_train, to_validate, to_test], image_size)
    for name, contents in read(path, squares.places):
        squares.add(name, decode_image_file(_shown(path / name), contents))
    train, validation, test = map(ImageSplit.from_array, squares.arrays)
    if not validation.count:
        train, validation = train.take_out()
    return ImageData(
        name=f"folder:{path!s}",
        event_shape=(image_size, image_size, 3),
        train=train,
        validation=validation,
        test=test,
    )


def _list_folder(folder: pathlib.Path) -> tuple[list[str], int]:
    """Returns what is below, as `list_archive` does, and the number of links there."""
    names, links, left = [], 0, [""]
    while left:
        above = left.pop()
        with os.scandir(folder / above) as entries:
            for entry in entries:
                name = above + entry.name
                if entry.is_symlink():
                    if name in _SPLITS:
                        raise ValueError(
                            f"dataset: expected a folder, not a link, {name} in "
                            f"{folder}. Links are not followed."
                        )
                    links += 1
                elif entry.is_dir():
                    left.append(f"{name}/")
                    names.append(f"{name}/")
                else:
                    names.append(name)
                    if is_image_name(name):
                        _check_file(folder / name, entry.stat())
    return names, links


def _shown(file: pathlib.Path) -> str:
    # A stranger's file name could talk to the terminal.
    return str(file) if str(file).isprintable() else repr(str(file))


def _check_file(file: pathlib.Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        # To read from it could mean to wait for ever.
        raise ValueError(
            f"dataset: expected a plain file, got {_shown(file)}, which is none."
        )
    if status.st_size > LARGEST_FILE:
        raise ValueError(
            f"dataset: expected at most {LARGEST_FILE:,} bytes in {_shown(file)}, got "
            f"{status.st_size:,}."
        )


def _read_folder(
    folder: pathlib.Path, names: Collection[str]
) -> Iterator[tuple[str, bytes]]:
    for name in names:
        with open(folder / name, "rb") as file:
            yield name, file.read(LARGEST_FILE)


def _top_of(names: list[str]) -> str:
    """Returns the one folder that all images are in, `""` if it is none or a split."""
    tops = {name.partition("/")[:2] for name in _images(names)}
    top, slash = tops.pop() if len(tops) == 1 else ("", "")
    return "" if not slash or top in _SPLITS else top + slash


def _images(names: list[str]) -> list[str]:
    images = [name for name in names if is_image_name(name) and name[-1] != "/"]
    return sorted(images, key=lambda name: name.split("/"))


def _split(names: list[str], top: str) -> list[list[str]]:
    """Returns the names of the images to train, validate and test with, in order."""
    images = _images(names)
    if all(
        any(name.startswith(f"{top}{split}/") for name in names)
        for split in ("train", "test")
    ):
        return [
            [name for name in images if name.startswith(f"{top}{split}/")]
            for split in _SPLITS
        ]
    train = [name for i, name in enumerate(images) if i % _EVERY_NTH_IS_TEST]
    return [train, [], images[::_EVERY_NTH_IS_TEST]]


class _Squares:
    """Arrays of images, filled in whatever order they are read in.

    Attributes:
      arrays: One for each list of names.
      places: Dictionary of what is to be read.
    """

    def __init__(self, splits: list[list[str]], image_size: int):
        self.arrays: list[np.ndarray] = [
            np.empty([len(names), image_size, image_size, 3], np.uint8)
            for names in splits
        ]
        self.places = {
            name: row
            for names, array in zip(splits, self.arrays, strict=True)
            for name, row in zip(names, array, strict=True)
        }
        self._progress, self._done = ProgressBar(len(self.places)), 0

    def add(self, name: str, image: tf.Tensor) -> None:
        row = self.places[name]
        row[:] = _square(image, len(row))
        self._done += 1
        self._progress.update(self._done)


def _square(image: tf.Tensor, image_size: int) -> np.ndarray:
    height, width, _ = image.shape
    scale = image_size / min(height, width)
    size = [
        max(image_size, round(height * scale)),
        max(image_size, round(width * scale)),
    ]
    image = tf.image.resize(image, size, method="area")
    image = tf.image.resize_with_crop_or_pad(image, image_size, image_size)
    return tf.cast(tf.round(image), tf.uint8).numpy()
