"""A user's own images."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable
from typing import Literal

import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int
from tfp_realnvp.choices import SPLITS
from tfp_realnvp.data.image_cache import DecodedImages, decoded_images
from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.image_files import list_files, shown
from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.data.labels import classes_of_folders, read_labels
from tfp_realnvp.data.memory_mapped import split_of_mapped
from tfp_realnvp.data.splits import named_splits, share_out, tell_copies

_NAMED = 5


def load_folder(
    path: str | os.PathLike,
    image_size: int = 32,
    *,
    channels: Literal[1, 3] | None = None,
    crop: Literal["center", "random", "none"] = "center",
    skip_damaged: bool = False,
    conditional: bool = False,
    labels: str | os.PathLike | None = None,
) -> ImageData:
    """Returns the images below a folder, or in an archive, as squares of one size.

    Subfolders `train`, `validation` and `test` (`val`, `Train` and the like too) are
    the splits; they may lie in one folder that holds all the rest. What of validation
    and test is not there is taken out of the training images, a tenth each. Which
    images these are is a function of each file's own bytes: files that are added or
    renamed move no other from one split to another, and copies are in one split.

    Images and archives need not be trusted: archives are read without unpacking them
    to disk, and what is made to do harm is refused. What is left out (hidden files,
    other files, links that lead out of the folder) is counted and printed, and so are
    images that are in two splits.

    Args:
      path: Folder of images, at any depth, of any format that Pillow reads; or archive
        of them (`.zip`, `.tar`, `.tar.gz`, `.tgz`).
      image_size: Python `int`, side of the squares.
      channels: 3 for colours, 1 for grey, `None` for grey if all images are.
      crop: `"center"`, the central square of each image; `"random"`, another square of
        it in every epoch; or `"none"`, all of it, its sides scaled apart.
      skip_damaged: Python `bool`, whether to go on without files that cannot be read.
      conditional: Python `bool`, whether to keep the classes: the first subfolder of
        the split that an image is in, or what `labels` says.
      labels: CSV file, in the folder or elsewhere, see `read_labels`.

    Raises:
      FileNotFoundError: If there is no such folder or archive.
      OSError: If a folder or a file may not be read.
      ValueError: If there are too few images, or damaged ones, or if an archive is
        damaged, or has a member with a name that leads out of it.
    """
    check_int("image_size", image_size)
    path = pathlib.Path(path).expanduser()
    files = list_files(path)
    places = named_splits(path, files)
    if files.left_out:
        print(f"{path}: {files.told_left_out()}", flush=True)
    conditions: np.ndarray | None = None
    condition_names: tuple[str, ...] | None = None
    if conditional and labels is not None:
        beside = path / labels
        known = read_labels(beside if beside.is_file() else labels, list(places))
        conditions, condition_names = known
    elif conditional:
        conditions, condition_names = classes_of_folders(
            {name: place.below for name, place in places.items()}
        )
    decoded = decoded_images(
        path, files, image_size=image_size, channels=channels or 3, crop=crop
    )
    _check_damaged(path, decoded, skip_damaged)
    # Images of one folder follow one another, whatever order they were read in.
    in_order = {name: number for number, name in enumerate(decoded.names)}
    names = sorted(
        places.keys() - decoded.damaged.keys(), key=lambda name: name.split("/")
    )
    numbers = np.array([in_order[name] for name in names], np.int64)
    records = decoded.records[numbers]
    named = np.array([places[name].split for name in names], "U10")
    splits = share_out(named, records["contents"])
    if not np.isin(SPLITS, splits).all():
        raise ValueError(
            "dataset: expected at least 3 different images, to train, validate and "
            f"test, in {path!s}; got {len(names)}. {files.told_left_out()}".rstrip()
        )
    tell_copies(names, splits, records["pixels"])
    if conditions is not None and condition_names is not None:
        in_order = {name: number for number, name in enumerate(places)}
        conditions = conditions[[in_order[name] for name in names]]
        _check_classes(conditions[splits == "train"], condition_names)
    shown_channels = 1 if channels is None and records["is_grey"].all() else channels
    event_shape = (image_size, image_size, shown_channels or 3)

    def split(name: str) -> ImageSplit:
        chosen = splits == name
        images: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
        if crop == "random":
            images = _Squares(decoded, numbers[chosen], event_shape)
        else:
            pixels = decoded.pixels.reshape(-1, image_size, image_size, channels or 3)
            rows = records["offset"][chosen] // pixels[:1].size
            images = split_of_mapped(pixels[..., : event_shape[2]]).select(rows).images
        of_chosen = None if conditions is None else conditions[chosen]
        return ImageSplit(int(chosen.sum()), images, of_chosen)

    return ImageData(
        name=f"folder:{path!s}",
        event_shape=event_shape,
        train=split("train"),
        validation=split("validation"),
        test=split("test"),
        condition_names=condition_names,
        digest=_digest(splits, records["contents"]),
    )


@dataclasses.dataclass(frozen=True)
class _Squares:
    """Squares cut out of decoded images at the places that their seeds draw."""

    decoded: DecodedImages
    numbers: np.ndarray
    event_shape: tuple[int, int, int]

    def __call__(self, numbers: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        places = tf.map_fn(
            lambda seed: tf.random.stateless_uniform([2], seed),
            seeds,
            fn_output_signature=tf.float32,
        )
        squares = tf.numpy_function(
            self._read, [numbers, places], tf.uint8, stateful=False
        )
        return tf.ensure_shape(squares, [numbers.shape[0], *self.event_shape])

    def _read(self, numbers: np.ndarray, places: np.ndarray) -> np.ndarray:
        squares = np.empty([len(numbers), *self.event_shape], np.uint8)
        size, _, channels = self.event_shape
        chosen = self.numbers[numbers]
        for square, number, place in zip(squares, chosen, places, strict=True):
            strip = self.decoded.image(number)
            room = np.subtract(strip.shape[:2], size)
            top, left = (place.astype(float) * (room + 1)).astype(int)
            square[:] = strip[top : top + size, left : left + size, :channels]
        return squares


def _check_damaged(
    path: pathlib.Path, decoded: DecodedImages, skip_damaged: bool
) -> None:
    if not decoded.damaged:
        return
    named = [f"{shown(k)} ({v})" for k, v in sorted(decoded.damaged.items())[:_NAMED]]
    more = len(decoded.damaged) - len(named)
    listed = ", ".join(named) + (f" and {more} more" if more else "")
    count = f"{len(decoded.damaged)} of {len(decoded.names)} images"
    if skip_damaged:
        print(f"{path}: Left out {count} that cannot be read: {listed}.", flush=True)
        return
    raise ValueError(
        f"dataset: expected images that can be read in {path}, got {count} that "
        f"cannot: {listed}. Remove them, or go on without them: skip_damaged "
        "(--skip-damaged)."
    )


def _check_classes(labels: np.ndarray, names: tuple[str, ...]) -> None:
    """Refuses classes that no flow could learn."""
    if labels.ndim == 1:
        missing = sorted(set(range(len(names))) - set(labels.tolist()))
        if missing:
            raise ValueError(
                "conditional: expected training images of every class, got none of "
                f"{shown(names[missing[0]])!r}."
            )


def _digest(splits: np.ndarray, contents: np.ndarray) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for split in SPLITS:
        digest.update(contents[splits == split].tobytes() + b"/")
    return digest.hexdigest()
