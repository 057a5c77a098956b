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
    evenly over its 256 / 17 values, with noise drawn once and always the same: the
    jitter of the paper, at the depth these images really have. No density over them
    can then gain by finding 17 spikes.

    Raises:
      ImportError: If scikit-learn is not installed.
    """
    datasets = require("sklearn.datasets", "the digits data set", extra="demo")
    levels = datasets.load_digits().images[..., np.newaxis]
    noise = np.random.default_rng(0).uniform(size=levels.shape)
    images = ((levels + noise) * (256 / _GREY_LEVELS)).astype(np.uint8)
    is_test = np.arange(len(images)) % _EVERY_NTH_IS_TEST == 0
    return ImageData(
        name="digits",
        event_shape=(8, 8, 1),
        train=tf.data.Dataset.from_tensor_slices(images[~is_test]),
        test=tf.data.Dataset.from_tensor_slices(images[is_test]),
        num_train=int((~is_test).sum()),
        num_test=int(is_test.sum()),
    )
