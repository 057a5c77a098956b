"""The handwritten digits that come with scikit-learn."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.optional import require

_GREY_LEVELS = 17
_EVERY_NTH_IS_TEST = 6


def load_digits() -> ImageData:
    """Returns scikit-learn's 1,797 real digits as 8 x 8 x 1 images.

    They have 17 grey levels. To be modelled as 8-bit images each level is spread
    evenly over its 256 / 17 values: the jitter of the paper, at the depth these images
    really have. No density over them can then gain by finding 17 spikes. The noise is
    new in every epoch of training, and always the same on the test images.

    Raises:
      ImportError: If scikit-learn is not installed.
    """
    datasets = require("sklearn.datasets", "the digits data set", extra="demo")
    levels = datasets.load_digits().images[..., np.newaxis].astype(np.float32)
    is_test = np.arange(len(levels)) % _EVERY_NTH_IS_TEST == 0
    return ImageData(
        name="digits",
        event_shape=(8, 8, 1),
        train=_spread(levels[~is_test], seed=0, fresh=True),
        test=_spread(levels[is_test], seed=1, fresh=False),
        num_train=int((~is_test).sum()),
        num_test=int(is_test.sum()),
    )


def _spread(levels: np.ndarray, *, seed: int, fresh: bool) -> tf.data.Dataset:
    """Returns 8-bit images, with `fresh` noise in every iteration or the same."""

    def spread(image: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        noise = tf.random.stateless_uniform([8, 8, 1], seed=[seed, number])
        return tf.cast((image + noise) * (256 / _GREY_LEVELS), tf.uint8)

    images = tf.data.Dataset.from_tensor_slices(levels)
    numbers = tf.data.Dataset.random(seed, rerandomize_each_iteration=fresh)
    return tf.data.Dataset.zip(images, numbers).map(spread)
