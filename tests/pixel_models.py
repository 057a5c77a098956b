"""Models over pixels whose densities are known, and images to score under them."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageData, ImageSplit

tfb = tfp.bijectors
tfd = tfp.distributions


def uniform_model(event_shape=(2, 2, 1), low=0.0, high=256.0):
    """Uniform over pixels from `low` to `high`."""
    low, high = (tf.fill(event_shape, 0.05 + 0.9 * v / 256) for v in (low, high))
    return nvp.FlowModel(
        tfd.TransformedDistribution(
            tfd.Independent(tfd.Uniform(low, high), 3),
            tfb.Chain([nvp.PixelLogit(), tfb.Invert(tfb.Sigmoid())]),
        )
    )


def normal_model(event_shape=(1, 1, 1), scale=0.01):
    """Normal logits of independent pixels, most of them close to 128."""
    base = tfd.Normal(tf.zeros(event_shape), scale)
    return nvp.FlowModel(
        tfd.TransformedDistribution(tfd.Independent(base, 3), nvp.PixelLogit())
    )


def images(count, event_shape=(2, 2, 1), low=10, high=200):
    pixels = np.random.default_rng(0).integers(low, high, [count, *event_shape])
    return ImageSplit.from_array(pixels.astype(np.uint8))


def data(name, validation, test, event_shape=(32, 32, 3), conditional=False):
    """A data set of so many images, at which nobody may look."""

    def split(count):
        labels = np.zeros(count, np.int32) if conditional else None
        return ImageSplit(count, None, labels)

    names = ("cat", "dog") if conditional else None
    return ImageData(
        name,
        event_shape,
        split(1000),
        split(validation),
        split(test),
        condition_names=names,
    )
