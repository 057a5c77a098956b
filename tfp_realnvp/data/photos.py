"""Random crops of the two photographs that come with scikit-learn."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.optional import require

_TRAIN_STRIP = 5 / 8
_VALIDATION_STRIP = 1 / 8
_CROPS_PER_EPOCH = 4096
_VALIDATION_CROPS = 256
_TEST_CROPS = 512


def load_photos(image_size: int = 32) -> ImageData:
    """Returns random crops of two colour photographs, as the paper does for LSUN.

    The photographs (a temple in China, a flower) have 427 x 640 pixels. Training
    crops come from the left five eighths of each, new ones every epoch; validation
    crops from the next eighth and test crops from the right quarter, always the same.

    Args:
      image_size: Python `int`, side of the crops, from 1 to 80.

    Raises:
      ImportError: If scikit-learn is not installed.
      ValueError: If `image_size` is out of range.
    """
    datasets = require("sklearn.datasets", "the photos data set", extra="demo")
    photos = np.stack(datasets.load_sample_images().images)
    width = photos.shape[2]
    borders = [
        int(width * _TRAIN_STRIP),
        int(width * (_TRAIN_STRIP + _VALIDATION_STRIP)),
    ]
    strips = np.split(photos, borders, axis=2)
    largest = min(min(strip.shape[1:3]) for strip in strips)
    if not 1 <= image_size <= largest:
        raise ValueError(f"image_size: expected 1 to {largest}, got {image_size}.")
    train, validation, test = (
        _random_crops(strip, image_size, count)
        for strip, count in zip(
            strips, (_CROPS_PER_EPOCH, _VALIDATION_CROPS, _TEST_CROPS), strict=True
        )
    )
    return ImageData(
        name="photos",
        event_shape=(image_size, image_size, 3),
        train=train,
        validation=validation,
        test=test,
        flips=True,
    )


def _random_crops(photos: np.ndarray, image_size: int, count: int) -> ImageSplit:
    """Returns crops at the places that their seeds draw."""
    with tf.device("CPU:0"):
        photos = tf.constant(photos)
    limits = [
        photos.shape[0],
        photos.shape[1] - image_size + 1,
        photos.shape[2] - image_size + 1,
    ]

    def crop(number: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        uniform = tf.random.stateless_uniform([3], seed)
        which, top, left = tf.unstack(
            tf.cast(uniform * tf.constant(limits, tf.float32), tf.int32)
        )
        image = photos[which, top : top + image_size, left : left + image_size]
        return tf.ensure_shape(image, [image_size, image_size, 3])

    return ImageSplit.from_function(count, crop)
