"""What a trivial model reaches, for comparison."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf


def gaussian_bits_per_dim(train: tf.data.Dataset, test: tf.data.Dataset) -> float:
    """Returns the bits/dim of an independent Gaussian for each pixel.

    Mean and variance of each pixel are those of the training images with the same
    uniform jitter that flows are trained with; the test score is the exact
    expectation over the jitter.

    Args:
      train: `tf.data.Dataset` of `uint8` images.
      test: `tf.data.Dataset` of `uint8` images.
    """
    mean, squares = _moments(train)
    test_mean, test_squares = _moments(test)
    # Jitter that is uniform in [0, 1) shifts both means by 1/2, which cancels, and
    # adds 1/12 to the mean square distances.
    variance = squares - mean**2 + 1 / 12
    distance = test_squares - 2 * mean * test_mean + mean**2 + 1 / 12
    nats = 0.5 * (distance / variance + np.log(2 * math.pi * variance))
    return float(nats.mean() / math.log(2))


def _moments(images: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and mean square of each pixel."""
    count, total, squares = 0, 0.0, 0.0
    for batch in images.batch(1000).as_numpy_iterator():
        batch = batch.astype(np.float64)
        count += len(batch)
        total = total + batch.sum(axis=0)
        squares = squares + np.square(batch).sum(axis=0)
    return total / count, squares / count
