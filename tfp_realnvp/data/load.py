"""Data sets by name."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from tfp_realnvp.arguments import check_choice, check_path, check_text
from tfp_realnvp.choices import CROPS, DATA_SETS
from tfp_realnvp.data.folder import load_folder
from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.known_sets import (
    LSUN,
    load_celeb_a,
    load_cifar10,
    load_digits,
    load_downsampled_imagenet,
    load_lsun,
    load_photos,
)


class _Known(NamedTuple):
    """A named data set; `load` is a function of its folder and the images' size."""

    load: Callable[[Any, int], ImageData]
    size: int
    any_size: bool = False
    has_conditions: bool = False


_KNOWN = {
    "digits": _Known(lambda _, size: load_digits(), 8, has_conditions=True),
    "photos": _Known(lambda _, size: load_photos(size), 32, any_size=True),
    "cifar10": _Known(lambda path, size: load_cifar10(path), 32, has_conditions=True),
    "imagenet32": _Known(load_downsampled_imagenet, 32),
    "imagenet64": _Known(load_downsampled_imagenet, 64),
    "celeb_a": _Known(load_celeb_a, 64, any_size=True, has_conditions=True),
}
for _name in LSUN:
    _load = functools.partial(load_lsun, _name)
    _KNOWN[f"lsun_{_name}"] = _Known(_load, 64, any_size=True)


def load_images(
    dataset: str,
    *,
    image_size: int | None = None,
    data_dir: str | os.PathLike | None = None,
    conditional: bool = False,
    channels: Literal[1, 3] | None = None,
    crop: Literal["center", "random", "none"] = "center",
    augment: Literal["flip"] | None = None,
    skip_damaged: bool = False,
    labels: str | os.PathLike | None = None,
) -> ImageData:
    """Loads a data set by its name.

    For your own images, the subfolders `train`, `validation` and `test` (or `val`,
    `Train` and the like) are the splits. A validation or test split without a folder
    takes a tenth of the training images, chosen by the bytes of each file. Neither
    images nor archives need be trusted. The numbers of files that are left out, and of
    images in two splits, are printed.

    Args:
      dataset: `"digits"`, `"photos"`, `"cifar10"`, `"imagenet32"`, `"imagenet64"`,
        `"celeb_a"`, `"lsun_bedroom"`, `"lsun_church_outdoor"`, `"lsun_tower"`, or
        `"folder:PATH"` for your own: a folder of images, at any depth, of any format
        that Pillow reads; or an archive of them (`.zip`, `.tar`, `.tar.gz`, `.tgz`).
      image_size: Python `int`, side of the images, for data sets of any size. `None`
        is 32 (`"celeb_a"` and LSUN: 64), or the only size of the data set.
      data_dir: Folder of prepared TFDS data, or of LSUN's unpacked databases. For your
        own images: the folder or archive to read instead of PATH, if they have moved.
      conditional: Python `bool`, whether to keep classes or attributes, for a flow that
        is conditioned on them. Without `labels` the class of each of your own images is
        its first subfolder below the split.
      channels: For your own images: 1, 3, or `None`, which is 1 if all are grey.
      crop: For your own images: `"center"`, the central square; `"random"`, a new
        square in every epoch; or `"none"`, all of it, each side scaled separately.
      augment: `"flip"` mirrors training images at random; `None` does so for the data
        sets whose mirrored images are as good as the originals.
      skip_damaged: Python `bool`, whether to leave out files that cannot be read.
      labels: CSV file, in the folder or elsewhere. Its first line names the columns:
        `file`, paths below the folder, then one of classes, or columns of numbers.

    Raises:
      FileNotFoundError: If the data are missing.
      ImportError: If a package that they need is not installed.
      ValueError: If the data set is unknown, or has no such size or no conditions; or
        if your own images are too few or damaged.

    #### Example

    ```python
    >>> from tfp_realnvp.data import load_images
    >>> data = load_images("digits")
    >>> data.event_shape, data.train.count, data.validation.count, data.test.count
    ((8, 8, 1), 1348, 149, 300)

    ```
    """
    check_text("dataset", dataset)
    if data_dir is not None:
        check_path("data_dir", data_dir)
    check_choice("augment", augment, ("flip", None))
    own: dict[str, Any] = {
        "channels": channels,
        "crop": crop,
        "skip_damaged": skip_damaged,
        "labels": labels,
    }
    # Arguments are checked before loading, which can take hours.
    if not dataset.startswith("folder:"):
        _check_known(dataset, image_size, conditional, own)
        known = _KNOWN[dataset]
        data = known.load(data_dir, known.size if image_size is None else image_size)
    else:
        path = dataset.removeprefix("folder:")
        if not path.strip():
            # A shell leaves this if the variable for PATH is not set.
            raise ValueError(f"dataset: expected folder:PATH, got {dataset!r}.")
        if channels not in (None, 1, 3):
            raise ValueError(f"channels: expected 1 or 3, got {channels!r}.")
        check_choice("crop", crop, CROPS)
        if labels is not None and not conditional:
            raise ValueError("labels: expected conditional=True with it, got False.")
        size = 32 if image_size is None else image_size
        data = load_folder(data_dir or path, size, conditional=conditional, **own)
        # A run's images keep their name when they are moved.
        data = dataclasses.replace(data, name=dataset)
    if augment == "flip":
        data = dataclasses.replace(data, flips=True)
    return data if conditional else data.unconditional()


def _check_known(
    dataset: str, image_size: int | None, conditional: bool, own: Mapping[str, object]
) -> None:
    if dataset not in DATA_SETS:
        raise ValueError(
            f"dataset: expected {', '.join(DATA_SETS)} or folder:PATH, got {dataset!r}."
        )
    for name, value in own.items():
        if value not in (None, False, "center"):
            raise ValueError(
                f"{name}: expected none, since it applies to folder:PATH only, not to "
                f"{dataset!r}; got {value!r}."
            )
    known = _KNOWN[dataset]
    if not known.any_size and image_size not in (None, known.size):
        raise ValueError(
            f"image_size: expected {known.size}, the size of {dataset!r}, got "
            f"{image_size}."
        )
    if conditional and not known.has_conditions:
        raise ValueError(
            f"conditional: expected False, since {dataset!r} has no classes or "
            "attributes; got True."
        )
