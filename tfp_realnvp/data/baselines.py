"""What a trivial model reaches, for comparison."""

from __future__ import annotations

import math

import numpy as np

from tfp_realnvp.data.image_split import ImageSplit

# Reading the 3 million of LSUN's bedrooms would take an hour, and change nothing.
_MOST_IMAGES = 50_000


def gaussian_bits_per_dim(train: ImageSplit, test: ImageSplit) -> float:
    """Returns the bits/dim of an independent Gaussian for each pixel.

    Mean and variance of each pixel are those of the training images with the same
    uniform noise that flows are trained with, or of the first 50,000 if there are
    more; the test score is the exact expectation over the noise.

    Args:
      train: `ImageSplit` to take mean and variance from.
      test: `ImageSplit` to score.
    """
    mean, squares = _moments(train, min(train.count, _MOST_IMAGES))
    test_mean, test_squares = _moments(test, test.count)
    # Noise that is uniform in [0, 1) shifts both means by 1/2, which cancels, and
    # adds 1/12 to the mean square distances.
    variance = squares - mean**2 + 1 / 12
    distance = test_squares - 2 * mean * test_mean + mean**2 + 1 / 12
    nats = 0.5 * (distance / variance + np.log(2 * math.pi * variance))
    return float(nats.mean() / math.log(2))


def _moments(split: ImageSplit, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and mean square of each pixel of the first `count` images."""
    total: np.ndarray = np.zeros([])
    squares: np.ndarray = np.zeros([])
    images = split.unconditional().batches(1000, limit=count)
    for batch in images.as_numpy_iterator():
        batch = batch.astype(np.float64)
        total = total + batch.sum(axis=0)
        squares = squares + np.square(batch).sum(axis=0)
    return total / count, squares / count
