"""What a trivial model reaches, for comparison."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

_MOST_IMAGES = 50_000


def gaussian_bits_per_dim(train: tf.data.Dataset, test: tf.data.Dataset) -> float:
    """Returns the bits/dim of an independent Gaussian for each pixel.

    Mean and variance of each pixel are those of the training images with the same
    uniform jitter that flows are trained with; the test score is the exact
    expectation over the jitter.

    Args:
      train: `tf.data.Dataset` of `uint8` images; at most 50,000 are used.
      test: `tf.data.Dataset` of `uint8` images; at most 50,000 are used.
    """
    fit = _to_array(train)
    # Jitter that is uniform in [0, 1) adds 1/2 to the mean and 1/12 to the variance.
    mean, variance = fit.mean(axis=0) + 0.5, fit.var(axis=0) + 1 / 12
    squares = np.square(_to_array(test) + 0.5 - mean) + 1 / 12
    nats = 0.5 * (squares / variance + np.log(2 * math.pi * variance))
    return float(nats.mean() / math.log(2))


def _to_array(images: tf.data.Dataset) -> np.ndarray:
    return np.stack(list(images.take(_MOST_IMAGES).as_numpy_iterator())).astype(float)
