"""Faces of celebrities."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf

from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.prepared import MANUAL_CONFIG, open_prepared, read_split

_CROP = 148
_ADVICE = (
    "which downloads 1.4 GiB from Google Drive (if that refuses, fetch the files "
    "yourself, put them into a FOLDER and write "
    f"download_and_prepare(download_config={MANUAL_CONFIG}))"
)


def load_celeb_a(
    data_dir: str | os.PathLike | None = None, image_size: int = 64
) -> ImageData:
    """Returns CelebA, 202,599 faces in TFDS's own three splits.

    The central 148 x 148 pixels of each are taken and scaled: of 218 rows and 178
    columns, rows 35 to 182 and columns 15 to 162. The paper's crop is "approximately
    central", and its released code takes the same columns from 5 rows further down.
    Images are kept in memory: 2.3 GiB at 64 x 64, and three times that while it is
    filled. Conditions are the 40 attributes.

    Args:
      data_dir: Folder where TFDS keeps its data; `None` is TFDS's own default.
      image_size: Python `int`, side of the images, from 1 to 148.

    Raises:
      FileNotFoundError: If the data set is not prepared there.
      ValueError: If `image_size` is out of range.
    """
    if not 1 <= image_size <= _CROP:
        raise ValueError(f"image_size: expected 1 to {_CROP}, got {image_size}.")

    def convert(image: tf.Tensor) -> tf.Tensor:
        image = tf.image.resize_with_crop_or_pad(image, _CROP, _CROP)
        image = tf.image.resize(image, [image_size, image_size], method="area")
        return tf.cast(tf.round(image), tf.uint8)

    opened = [
        open_prepared("celeb_a", split, data_dir, advice=_ADVICE)
        for split in ("train", "validation", "test")
    ]
    names = sorted(opened[0].element_spec["attributes"])

    def attributes(example: dict[str, Any]) -> tf.Tensor:
        return tf.stack([example["attributes"][name] for name in names])

    train, validation, test = (
        read_split(
            examples,
            event_shape=(image_size, image_size, 3),
            convert=convert,
            condition=attributes,
        )
        for examples in opened
    )
    return ImageData(
        name="celeb_a",
        event_shape=(image_size, image_size, 3),
        train=train,
        validation=validation,
        test=test,
        flips=True,
        condition_names=tuple(names),
    )
