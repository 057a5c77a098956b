"""Random crops of the two photographs that come with scikit-learn."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.optional import require

_TEST_STRIP = 0.25
_CROPS_PER_EPOCH = 4096
_TEST_CROPS = 512


def load_photos(image_size: int = 32) -> ImageData:
    """Returns random crops of two colour photographs, as the paper does for LSUN.

    The photographs (a temple in China, a flower) have 427 x 640 pixels. Training
    crops come from the left three quarters of each, new ones every epoch; the test
    crops, always the same, from the right quarter.

    Args:
      image_size: Python `int`, side of the crops, from 1 to 160.

    Raises:
      ImportError: If scikit-learn or Pillow is not installed.
      ValueError: If `image_size` is out of range.
    """
    datasets = require("sklearn.datasets", "the photos data set", extra="demo")
    require("PIL", "the photos data set", extra="demo")
    photos = np.stack(datasets.load_sample_images().images)
    border = int(photos.shape[2] * (1 - _TEST_STRIP))
    train, test = photos[:, :, :border], photos[:, :, border:]
    largest = min(test.shape[1:3])
    if not 1 <= image_size <= largest:
        raise ValueError(f"image_size: expected 1 to {largest}, got {image_size}.")
    return ImageData(
        name="photos",
        event_shape=(image_size, image_size, 3),
        train=_random_crops(train, image_size, seed=0, fresh=True).take(
            _CROPS_PER_EPOCH
        ),
        test=_random_crops(test, image_size, seed=1, fresh=False).take(_TEST_CROPS),
        num_train=_CROPS_PER_EPOCH,
        num_test=_TEST_CROPS,
        flips=True,
    )


def _random_crops(
    photos: np.ndarray, image_size: int, *, seed: int, fresh: bool
) -> tf.data.Dataset:
    """Returns endless crops, `fresh` ones in every iteration or the same."""
    photos = tf.constant(photos)
    limits = [
        photos.shape[0],
        photos.shape[1] - image_size + 1,
        photos.shape[2] - image_size + 1,
    ]

    def crop(number: tf.Tensor) -> tf.Tensor:
        uniform = tf.random.stateless_uniform([3], seed=[seed, number])
        which, top, left = tf.unstack(
            tf.cast(uniform * tf.constant(limits, tf.float32), tf.int32)
        )
        image = photos[which, top : top + image_size, left : left + image_size]
        return tf.ensure_shape(image, [image_size, image_size, 3])

    numbers = tf.data.Dataset.random(seed, rerandomize_each_iteration=fresh)
    return numbers.map(crop, num_parallel_calls=tf.data.AUTOTUNE)
