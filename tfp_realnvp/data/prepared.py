"""Data sets that TFDS has prepared on disk."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.data.progress import ProgressBar

_READ_AT_ONCE = 500


def load_cifar10(data_dir: str | os.PathLike | None = None) -> ImageData:
    """Returns CIFAR-10, 50,000 training and 10,000 test images of 32 x 32 x 3.

    1,000 of the training images are taken out for validation.

    Args:
      data_dir: Folder where TFDS keeps its data; `None` is TFDS's own default.

    Raises:
      FileNotFoundError: If the data set is not prepared there.
    """
    train, test = (
        ImageSplit.from_array(
            read_prepared(
                "cifar10",
                split,
                data_dir,
                event_shape=(32, 32, 3),
                advice="which downloads 163 MiB",
            )
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
    )


def read_prepared(
    name: str,
    split: str,
    data_dir: str | os.PathLike | None,
    *,
    event_shape: tuple[int, int, int],
    convert: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    advice: str,
) -> np.ndarray:
    """Returns the images of a split as one `uint8` array.

    Args:
      name: Python `str`, TFDS's name of the data set.
      split: Python `str`, TFDS's name of the split.
      data_dir: Folder where TFDS keeps its data; `None` is TFDS's own default.
      event_shape: (height, width, channels) of every image once converted.
      convert: Function of one image as it was prepared.
      advice: Python `str`, what to know about preparing it.

    Raises:
      FileNotFoundError: If the data set is not prepared there.
    """
    # Importing TFDS takes a second that the other data sets need not pay.
    import tensorflow_datasets as tfds

    try:
        examples = tfds.load(
            name, split=split, data_dir=data_dir, download=False, shuffle_files=False
        )
    except AssertionError as error:
        # Whether it is prepared is not asked before, since what `tfds.testing`
        # imitates is not.
        folder = tfds.builder(name, data_dir=data_dir).data_dir
        argument = "" if data_dir is None else f" --data_dir={data_dir}"
        raise FileNotFoundError(
            f"dataset: {name} is not prepared in {folder}. Either name the "
            f"folder that holds it (--data-dir), or prepare it once, {advice}: "
            f"tfds build {name}{argument}"
        ) from error
    images = examples.map(
        lambda example: convert(example["image"]), num_parallel_calls=tf.data.AUTOTUNE
    )
    result = np.empty([len(examples), *event_shape], np.uint8)
    progress, done = ProgressBar(len(result)), 0
    for batch in images.batch(_READ_AT_ONCE).prefetch(1).as_numpy_iterator():
        result[done : done + len(batch)] = batch
        done += len(batch)
        progress.update(done)
    return result
