"""What the paper reports, and on which images."""

from __future__ import annotations

from typing import NamedTuple

from tfp_realnvp.data.image_data import ImageData


class PaperRow(NamedTuple):
    """What the paper reports on a data set, in bits/dim."""

    title: str
    # (height, width, channels) of its images.
    event_shape: tuple[int, int, int]
    # The split that was reported on, as the paper calls it, and how many images it has.
    split: str
    images: int
    real_nvp: str
    # The figure on training images, and that of the Pixel RNN, if there is one.
    real_nvp_train: str | None
    pixel_rnn: str | None
    source: str


_V1 = "arXiv:1605.08803v1, Table 1"
_LATER = "the later version of arXiv:1605.08803"
_BOTH = f"{_LATER}; in v1: 4.01 (3.93)"
_32, _64, _VAL = (32, 32, 3), (64, 64, 3), "validation"

# The splits that data sets come with are told by their size: no other has it.
# fmt: off
PAPER = {
    "cifar10": PaperRow("CIFAR-10", _32, "test", 10_000, "3.49", None, "3.00", _V1),
    "imagenet32": PaperRow(
        "ImageNet 32x32", _32, _VAL, 49_999, "4.28", "4.26", "3.86 (3.83)", _V1
    ),
    "imagenet64": PaperRow(
        "ImageNet 64x64", _64, _VAL, 49_999, "3.98", "3.75", "3.63 (3.57)", _BOTH
    ),
    "lsun_bedroom": PaperRow(
        "LSUN bedroom", _64, _VAL, 300, "2.72", "2.70", None, _LATER
    ),
    "lsun_tower": PaperRow("LSUN tower", _64, _VAL, 300, "2.81", "2.78", None, _LATER),
    "lsun_church_outdoor": PaperRow(
        "LSUN church outdoor", _64, _VAL, 300, "3.08", "2.94", None, _LATER
    ),
    "celeb_a": PaperRow("CelebA", _64, _VAL, 19_867, "3.02", "2.97", None, _LATER),
}
# fmt: on


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
    >>> from tfp_realnvp.evaluation import paper_results
    >>> paper_results(load_images("digits"), "test").remark
    'The paper has no figure on digits.'

    ```
    """
    row = PAPER.get(data.name)
    is_conditional = data.condition_names is not None
    which = f"{split}, conditional" if is_conditional else split
    if row is None:
        remark = f"The paper has no figure on {data.name}."
        return Comparison(f"{data.name}, {which}", None, None, remark)
    is_theirs = data.event_shape == row.event_shape and row.images in (
        data.validation.count,
        data.test.count,
    )
    name = row.title if is_theirs else f"{data.name} (not the paper's images)"
    title = f"{name}, {which}"
    count = getattr(data, split).count
    is_whole = images is None or images == count
    if is_theirs and is_whole and not is_conditional:
        train = row.real_nvp_train and f"({row.real_nvp_train})"
        if split == "train" and train:
            remark = f"The paper's figure is that on training images of {row.source}."
            return Comparison(title, train, None, remark)
        if count == row.images:
            figure = f"{row.real_nvp} {train}" if train else row.real_nvp
            remark = (
                f"The paper's figures are those on {row.split} images"
                f"{' (training images)' if train else ''} of {row.source}."
            )
            return Comparison(title, figure, row.pixel_rnn, remark)
    sides = " x ".join(map(str, row.event_shape))
    remark = (
        f"The paper's {row.real_nvp} is on all {row.images} {row.split} images of "
        f"{row.title}, {sides}, under a flow without conditions, and not on these."
    )
    return Comparison(title, None, None, remark)
