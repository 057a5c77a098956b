"""ImageNet at 32 x 32 and 64 x 64."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.data.memory_mapped import kept_array, split_of_mapped
from tfp_realnvp.data.prepared import READ_AT_ONCE, open_prepared, prepared_folder

# With the size of the archives to download.
_SIZES = {32: "4.0 GiB", 64: "11.7 GiB"}


def load_downsampled_imagenet(
    data_dir: str | os.PathLike | None = None, image_size: int = 32
) -> ImageData:
    """Returns downsampled ImageNet, 1,281,149 training and 49,999 test images.

    These are the images of PixelRNN and Real NVP, which ImageNet's own site has since
    replaced by others, easier to model, of the same sizes. Test images are those that
    the data set calls validation, on which the papers report; 1,000 of its training
    images are taken out for validation. As in the paper, none is mirrored.

    They are decoded once, into files of 3.8 GiB (64 x 64: 15.2 GiB) beside the
    prepared data, or where the environment variable `TFP_REALNVP_CACHE` says, from
    which training reads what it needs.

    Args:
      data_dir: Folder where TFDS keeps its data; `None` is TFDS's own default.
      image_size: Python `int`, side of the images, 32 or 64.

    Raises:
      FileNotFoundError: If the data set is not prepared there.
      OSError: If the files cannot be written, or the disk is full.
      ValueError: If `image_size` is neither 32 nor 64.
    """
    if image_size not in _SIZES:
        raise ValueError(f"image_size: expected 32 or 64, got {image_size}.")
    train, test = (
        _read(split, data_dir, image_size) for split in ("train", "validation")
    )
    train, validation = train.take_out()
    return ImageData(
        name=f"imagenet{image_size}",
        event_shape=(image_size, image_size, 3),
        train=train,
        validation=validation,
        test=test,
    )


def _read(split: str, data_dir: str | os.PathLike | None, size: int) -> ImageSplit:
    name = f"downsampled_imagenet/{size}x{size}"
    archives = [f"{part}_{size}x{size}.tar" for part in ("train", "valid")]
    examples = open_prepared(
        name,
        split,
        data_dir,
        advice=f"from {' and '.join(archives)} ({_SIZES[size]}). They are no longer at "
        "http://image-net.org/small/; https://github.com/tensorflow/datasets/issues/"
        "4662 says where they are. Put both into a FOLDER, for TFDS to check",
        by_hand=True,
    )
    images = examples.map(
        # TFDS does not know the sizes.
        lambda example: tf.ensure_shape(example["image"], [size, size, 3]),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    pixels = kept_array(
        prepared_folder(name, data_dir),
        f"{name.replace('/', '-')}-{split}",
        (len(examples), size, size, 3),
        np.uint8,
        images.batch(READ_AT_ONCE).prefetch(1).as_numpy_iterator,
    )
    return split_of_mapped(pixels)
