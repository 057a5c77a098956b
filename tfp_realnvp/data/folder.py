"""A user's own images."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import tensorflow as tf

from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.data.progress import ProgressBar

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})
_EVERY_NTH_IS_TEST = 10


def load_folder(path: str | os.PathLike, image_size: int = 32) -> ImageData:
    """Returns the images below a folder, as squares of one size.

    Each image is scaled until its smaller side has `image_size` pixels, and its
    centre is taken. If there are subfolders `train` and `test`, they are the splits;
    otherwise every tenth image, in the order of their names, is for testing. A
    subfolder `validation` beside them is a split too; otherwise one training image in
    ten is taken out for validation, but no more than 1,000.

    Args:
      path: Folder with PNG, JPEG or BMP images, at any depth. Links are not followed.
      image_size: Python `int`, side of the squares.

    Raises:
      FileNotFoundError: If there is no such folder.
      ValueError: If it holds too few images, or one that cannot be read.
    """
    folder = pathlib.Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"dataset: expected a folder of images, got {path!s}.")
    if image_size < 1:
        raise ValueError(f"image_size: expected a positive int, got {image_size}.")
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        train, test = _find(folder / "train"), _find(folder / "test")
        validation = _find(folder / "validation")
    else:
        files = _find(folder)
        test = files[::_EVERY_NTH_IS_TEST]
        train = [f for i, f in enumerate(files) if i % _EVERY_NTH_IS_TEST]
        validation = []
    if len(train) + len(validation) < 2 or not train or not test:
        raise ValueError(
            "dataset: expected at least 3 images (PNG, JPEG, BMP), to train, validate "
            f"and test, in {path!s}; got {len(train) + len(validation) + len(test)}."
        )
    if validation:
        splits = _read_all(train, image_size), _read_all(validation, image_size)
    else:
        splits = _read_all(train, image_size).take_out()
    return ImageData(
        name=f"folder:{path!s}",
        event_shape=(image_size, image_size, 3),
        train=splits[0],
        validation=splits[1],
        test=_read_all(test, image_size),
    )


def _find(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(
        pathlib.Path(root) / name
        for root, _, names in os.walk(folder, followlinks=False)
        for name in names
        if pathlib.Path(name).suffix.lower() in _SUFFIXES
        and not (pathlib.Path(root) / name).is_symlink()
    )


def _read_all(files: list[pathlib.Path], image_size: int) -> ImageSplit:
    images = np.empty([len(files), image_size, image_size, 3], np.uint8)
    progress = ProgressBar(len(files))
    for i, file in enumerate(files):
        images[i] = _read(file, image_size)
        progress.update(i + 1)
    return ImageSplit.from_array(images)


def _read(file: pathlib.Path, image_size: int) -> np.ndarray:
    try:
        image = tf.io.decode_image(
            file.read_bytes(), channels=3, expand_animations=False
        )
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(f"dataset: {file} is no image that can be read.") from error
    height, width, _ = image.shape
    scale = image_size / min(height, width)
    size = [
        max(image_size, round(height * scale)),
        max(image_size, round(width * scale)),
    ]
    image = tf.image.resize(image, size, method="area")
    image = tf.image.resize_with_crop_or_pad(image, image_size, image_size)
    return tf.cast(tf.round(image), tf.uint8).numpy()
