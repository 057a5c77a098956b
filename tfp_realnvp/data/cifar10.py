"""CIFAR-10 as TFDS has prepared it."""

from __future__ import annotations

import os

import tensorflow as tf

from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.prepared import open_prepared, read_split

_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def load_cifar10(data_dir: str | os.PathLike | None = None) -> ImageData:
    """Returns CIFAR-10, 50,000 training and 10,000 test images of 32 x 32 x 3.

    1,000 of the training images are taken out for validation. Conditions are the
    classes.

    Args:
      data_dir: Folder where TFDS keeps its data; `None` is TFDS's own default.

    Raises:
      FileNotFoundError: If the data set is not prepared there.
    """
    train, test = (
        read_split(
            open_prepared("cifar10", split, data_dir, advice="which downloads 163 MiB"),
            event_shape=(32, 32, 3),
            condition=lambda example: tf.cast(example["label"], tf.int32),
        )
        for split in ("train", "test")
    )
    train, validation = train.take_out()
    return ImageData(
        name="cifar10",
        event_shape=(32, 32, 3),
        train=train,
        validation=validation,
        test=test,
        flips=True,
        condition_names=_CLASSES,
    )
