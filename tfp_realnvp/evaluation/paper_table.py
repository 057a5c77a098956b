"""What the paper reports, and on which images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tfp_realnvp.data.image_data import ImageData


@dataclasses.dataclass(frozen=True)
class PaperRow:
    """What the paper reports on a data set, in bits/dim.

    Attributes:
      title: The paper's name of the data set.
      event_shape: (height, width, channels) of its images.
      split: The paper's name of the split that was reported on.
      images: How many images that split has.
      real_nvp: Real NVP's figure.
      real_nvp_train: Its figure on the training images, if there is one.
      pixel_rnn: That of the Pixel RNN, if it is given.
      source: Where the figures are from.
    """

    title: str
    event_shape: tuple[int, int, int]
    split: str
    images: int
    real_nvp: str
    real_nvp_train: str | None
    pixel_rnn: str | None
    source: str


_V1 = "arXiv:1605.08803v1, Table 1"
_LATER = "the later version of arXiv:1605.08803"

# The splits that data sets come with are told by their size: no other has it.
PAPER: Mapping[str, PaperRow] = MappingProxyType(
    {
        "cifar10": PaperRow(
            "CIFAR-10", (32, 32, 3), "test", 10_000, "3.49", None, "3.00", _V1
        ),
        "imagenet32": PaperRow(
            "ImageNet 32x32",
            (32, 32, 3),
            "validation",
            49_999,
            "4.28",
            "4.26",
            "3.86 (3.83)",
            _V1,
        ),
        "imagenet64": PaperRow(
            "ImageNet 64x64",
            (64, 64, 3),
            "validation",
            49_999,
            "3.98",
            "3.75",
            "3.63 (3.57)",
            f"{_LATER}; in v1: 4.01 (3.93)",
        ),
        "lsun_bedroom": PaperRow(
            "LSUN bedroom", (64, 64, 3), "validation", 300, "2.72", "2.70", None, _LATER
        ),
        "lsun_tower": PaperRow(
            "LSUN tower", (64, 64, 3), "validation", 300, "2.81", "2.78", None, _LATER
        ),
        "lsun_church_outdoor": PaperRow(
            "LSUN church outdoor",
            (64, 64, 3),
            "validation",
            300,
            "3.08",
            "2.94",
            None,
            _LATER,
        ),
        "celeb_a": PaperRow(
            "CelebA", (64, 64, 3), "validation", 19_867, "3.02", "2.97", None, _LATER
        ),
    }
)


class Comparison(NamedTuple):
    """What the paper reports on some images.

    Attributes:
      title: Python `str`, what to call the images.
      real_nvp: Python `str`, bits/dim, those of training images in parentheses; `None`
        if the paper has no figure on these very images.
      pixel_rnn: The same for the Pixel RNN.
      remark: Python `str`, a sentence.
    """

    title: str
    real_nvp: str | None
    pixel_rnn: str | None
    remark: str


def paper_results(data: ImageData, split: str, images: int | None = None) -> Comparison:
    """Returns what the paper reports on these very images.

    That is nothing for other images, also if they have the name of the paper's, and
    for flows that are given classes or attributes.

    Args:
      data: The data set, with conditions if the flow takes them.
      split: Python `str`, `"train"`, `"validation"` or `"test"`.
      images: Python `int`, how many of its images are meant; `None` is all.

    #### Example

    ```python
    >>> from tfp_realnvp.data import load_images
    >>> from tfp_realnvp.evaluation.paper_table import paper_results
    >>> paper_results(load_images("digits"), "test").remark
    'The paper has no figure on digits.'

    ```
    """
    row = PAPER.get(data.name)
    which = split if data.condition_names is None else f"{split}, conditional"
    if row is None:
        remark = f"The paper has no figure on {data.name}."
        return Comparison(f"{data.name}, {which}", None, None, remark)
    counts = data.validation.count, data.test.count
    if data.event_shape != row.event_shape or row.images not in counts:
        remark = (
            f"These are not the paper's images: {row.title} has {row.images} "
            f"{row.split} images of {_shape(row.event_shape)}, and here are "
            f"{counts[0]} to validate and {counts[1]} to test, of "
            f"{_shape(data.event_shape)}."
        )
        title = f"{data.name} (not the paper's images), {which}"
        return Comparison(title, None, None, remark)
    title = f"{row.title}, {which}"
    count = getattr(data, split).count
    if images is not None and images < count:
        remark = (
            f"The paper's {row.real_nvp} is on other images than the first {images} of "
            f"{count} alone."
        )
        return Comparison(title, None, None, remark)
    if data.condition_names is not None:
        remark = (
            f"The paper's {row.real_nvp} is of a flow that is not given the classes or "
            "attributes of the images, as this one is."
        )
        return Comparison(title, None, None, remark)
    if split == "train" and row.real_nvp_train is not None:
        remark = f"The paper's figure is that on training images of {row.source}."
        return Comparison(title, f"({row.real_nvp_train})", None, remark)
    if getattr(data, split).count != row.images:
        remark = (
            f"The paper's {row.real_nvp} is on the {row.images} {row.split} images of "
            f"{row.title}, and not on these."
        )
        return Comparison(title, None, None, remark)
    train = "" if row.real_nvp_train is None else f" ({row.real_nvp_train})"
    remark = (
        f"The paper's figures are those on {row.split} images"
        f"{' (training images)' if train else ''} of {row.source}."
    )
    return Comparison(title, row.real_nvp + train, row.pixel_rnn, remark)


def _shape(event_shape: Sequence[int]) -> str:
    return " x ".join(map(str, event_shape))
