"""The handwritten digits that come with scikit-learn."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.optional import require

_GREY_LEVELS = 17
_EVERY_NTH_IS_TEST = 6


def load_digits() -> ImageData:
    """Returns scikit-learn's 1,797 real digits as 8 x 8 x 1 images, with their classes.

    They have 17 grey levels. To be modelled as 8-bit images each level is spread
    evenly over its 256 / 17 values: the noise of the paper, at the depth these images
    really have. No density over them can then gain by finding 17 spikes. The noise is
    new in every epoch of training, and always the same on validation and test images.

    Raises:
      ImportError: If scikit-learn is not installed.
    """
    datasets = require("sklearn.datasets", "the digits data set", extra="demo")
    bunch = datasets.load_digits()
    digits = _spread(bunch.images[..., np.newaxis], bunch.target.astype(np.int32))
    numbers = np.arange(digits.count)
    is_test = numbers % _EVERY_NTH_IS_TEST == 0
    train, validation = digits.select(numbers[~is_test]).take_out()
    return ImageData(
        name="digits",
        event_shape=(8, 8, 1),
        train=train,
        validation=validation,
        test=digits.select(numbers[is_test]),
        condition_names=tuple(str(digit) for digit in range(10)),
    )


def _spread(levels: np.ndarray, labels: np.ndarray) -> ImageSplit:
    """Returns 8-bit images, with noise of their seeds."""
    with tf.device("CPU:0"):
        levels = tf.constant(levels, tf.float32)

    def image(number: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        noise = tf.random.stateless_uniform([8, 8, 1], seed)
        spread = (tf.gather(levels, number) + noise) * (256 / _GREY_LEVELS)
        return tf.cast(spread, tf.uint8)

    return ImageSplit.from_function(len(levels), image, labels)
