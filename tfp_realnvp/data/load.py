"""Data sets by name."""

from __future__ import annotations

import os

from tfp_realnvp.data.celeb_a import load_celeb_a
from tfp_realnvp.data.digits import load_digits
from tfp_realnvp.data.folder import load_folder
from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.photos import load_photos
from tfp_realnvp.data.prepared import load_cifar10

_FIXED_SIZES = {"digits": 8, "cifar10": 32}


def load_images(
    name: str,
    *,
    image_size: int | None = None,
    data_dir: str | os.PathLike | None = None,
    conditional: bool = False,
) -> ImageData:
    """Returns the data set of that name.

    Args:
      name: `"digits"`, `"photos"`, `"cifar10"`, `"celeb_a"`, or `"folder:PATH"` for
        your own.
      image_size: Python `int`, side of the images, for data sets that come in any
        size; `None` is 32 (`"celeb_a"`: 64), or the size that the data set has.
      data_dir: Folder of prepared TFDS data, for `"cifar10"` and `"celeb_a"`.
      conditional: Python `bool`, whether to keep the images' classes or attributes,
        for a flow that is conditioned on them.

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
    data = _load(name, image_size, data_dir)
    if not conditional:
        return data.unconditional()
    if data.condition_names is None:
        raise ValueError(
            "conditional: expected False, for there are no classes or attributes in "
            f"{name!r}; got True."
        )
    return data


def _load(
    name: str, image_size: int | None, data_dir: str | os.PathLike | None
) -> ImageData:
    fixed = _FIXED_SIZES.get(name)
    if fixed and image_size not in (None, fixed):
        raise ValueError(
            f"image_size: expected {fixed}, the size of {name!r}, got {image_size}."
        )
    size = {} if image_size is None else {"image_size": image_size}
    if name == "digits":
        return load_digits()
    if name == "photos":
        return load_photos(**size)
    if name == "cifar10":
        return load_cifar10(data_dir)
    if name == "celeb_a":
        return load_celeb_a(data_dir, **size)
    if name.startswith("folder:"):
        return load_folder(name.removeprefix("folder:"), **size)
    raise ValueError(
        "dataset: expected digits, photos, cifar10, celeb_a or folder:PATH, got "
        f"{name!r}."
    )
