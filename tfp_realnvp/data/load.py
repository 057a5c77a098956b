"""Data sets by name."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

from tfp_realnvp.arguments import (
    check_choice,
    check_flag,
    check_int,
    check_path,
    check_text,
    check_whole,
)
from tfp_realnvp.choices import CROPS, DATA_SETS
from tfp_realnvp.data.celeb_a import load_celeb_a
from tfp_realnvp.data.cifar10 import load_cifar10
from tfp_realnvp.data.digits import load_digits
from tfp_realnvp.data.downsampled_imagenet import load_downsampled_imagenet
from tfp_realnvp.data.folder import load_folder
from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.lsun import CATEGORIES, load_lsun
from tfp_realnvp.data.photos import load_photos

# Functions of `data_dir` and perhaps `image_size`.
_LOADERS: Mapping[str, Callable[..., ImageData]] = {
    "digits": lambda data_dir: load_digits(),
    "photos": lambda data_dir, **size: load_photos(**size),
    "cifar10": load_cifar10,
    "imagenet32": lambda data_dir: load_downsampled_imagenet(data_dir, 32),
    "imagenet64": lambda data_dir: load_downsampled_imagenet(data_dir, 64),
    "celeb_a": load_celeb_a,
    **{
        f"lsun_{category}": functools.partial(load_lsun, category)
        for category in CATEGORIES
    },
}
_CONDITIONAL = frozenset({"digits", "cifar10", "celeb_a"})
_FIXED_SIZES = {"digits": 8, "cifar10": 32, "imagenet32": 32, "imagenet64": 64}


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
    """Returns the data set of that name.

    Args:
      dataset: `"digits"`, `"photos"`, `"cifar10"`, `"imagenet32"`, `"imagenet64"`,
        `"celeb_a"`, `"lsun_bedroom"`, `"lsun_church_outdoor"`, `"lsun_tower"`, or
        `"folder:PATH"` for your own: a folder of images, or an archive of them.
      image_size: Python `int`, side of the images, for data sets that come in any
        size; `None` is 32 (`"celeb_a"` and LSUN: 64), or the size that the data set
        has.
      data_dir: Folder of prepared TFDS data, or of LSUN's unpacked databases; or, of
        your own images, the folder or archive that has come in the place of PATH.
      conditional: Python `bool`, whether to keep the images' classes or attributes,
        for a flow that is conditioned on them.
      channels: Of your own images, see `load_folder`, as all that follow but `augment`.
      crop: How they are made into squares.
      augment: `"flip"` if a mirrored image is as good as the original; `None` is what
        is known of the data set.
      skip_damaged: Python `bool`, whether to go on without those that cannot be read.
      labels: CSV file with their classes or numbers.

    Raises:
      FileNotFoundError: If the data are not there.
      ImportError: If they need a package that is not installed.
      ValueError: If there is no such data set, or not of that size, or it has neither
        classes nor attributes and is to be `conditional`.

    #### Example

    ```python
    >>> from tfp_realnvp.data import load_images
    >>> data = load_images("digits")
    >>> data.event_shape, data.train.count, data.validation.count, data.test.count
    ((8, 8, 1), 1348, 149, 300)

    ```
    """
    check_text("dataset", dataset)
    check_flag("conditional", conditional)
    if image_size is not None:
        check_whole("image_size", image_size)
    if data_dir is not None:
        check_path("data_dir", data_dir)
    if channels is not None:
        check_int("channels", channels, most=3)
        if channels == 2:
            raise ValueError("channels: expected 1 or 3, got 2.")
    check_choice("crop", crop, CROPS)
    check_choice("augment", augment, ("flip", None))
    check_flag("skip_damaged", skip_damaged)
    if labels is not None:
        check_path("labels", labels)
    own = {
        "channels": channels,
        "crop": crop,
        "skip_damaged": skip_damaged,
        "labels": labels,
    }
    if dataset.startswith("folder:"):
        load = _own_images(dataset, data_dir, conditional, own)
    elif dataset in _LOADERS:
        load = functools.partial(_LOADERS[dataset], data_dir)
        _check_known(dataset, image_size, conditional, own)
    else:
        raise ValueError(
            f"dataset: expected {', '.join(DATA_SETS)} or folder:PATH, got {dataset!r}."
        )
    is_fixed = image_size is None or dataset in _FIXED_SIZES
    data = load() if is_fixed else load(image_size=image_size)
    if augment == "flip":
        data = dataclasses.replace(data, flips=True)
    return data if conditional else data.unconditional()


def _own_images(
    dataset: str,
    data_dir: str | os.PathLike | None,
    conditional: bool,
    own: Mapping[str, Any],
) -> Callable[..., ImageData]:
    path = dataset.removeprefix("folder:")
    if not path.strip():
        # As a shell leaves it of a variable that is not set.
        raise ValueError(f"dataset: expected folder:PATH, got {dataset!r}.")
    if own["labels"] is not None and not conditional:
        raise ValueError("labels: expected conditional with them, got False.")

    def load(image_size: int = 32) -> ImageData:
        data = load_folder(data_dir or path, image_size, conditional=conditional, **own)
        # The name of a run's images stays when they are moved.
        return dataclasses.replace(data, name=dataset)

    return load


def _check_known(
    dataset: str, image_size: int | None, conditional: bool, own: Mapping[str, Any]
) -> None:
    """Refuses what a data set does not have: loading can take hours."""
    for name, value in own.items():
        if value not in (None, False, "center"):
            raise ValueError(
                f"{name}: expected none, for it is of folder:PATH alone, not of "
                f"{dataset!r}; got {value!r}."
            )
    fixed = _FIXED_SIZES.get(dataset)
    if fixed and image_size not in (None, fixed):
        raise ValueError(
            f"image_size: expected {fixed}, the size of {dataset!r}, got {image_size}."
        )
    if conditional and dataset not in _CONDITIONAL:
        raise ValueError(
            "conditional: expected False, for there are no classes or attributes in "
            f"{dataset!r}; got True."
        )
