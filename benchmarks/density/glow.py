"""What Glow (Kingma and Dhariwal, 2018) has and this package has not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.flows import couplings
from tfp_realnvp.nets import BatchMoments

tfb = tfp.bijectors
tfd = tfp.distributions


class LearnedMoments(BatchMoments):
    """Mean and variance that are learned, at first those of a batch (ActNorm)."""

    def build(self, inputs_shape):
        channels = (inputs_shape[-1],)
        self.mean = self.add_weight(shape=channels, initializer="zeros", name="mean")
        self.log_variance = self.add_weight(
            shape=channels, initializer="zeros", name="log_variance"
        )
        self.is_set = False
        self.built = True

    def call(self, inputs, weights=None, training=False):
        if not self.is_set:
            mean, variance, _ = self._batch_moments(inputs, weights)
            self.mean.assign(mean)
            self.log_variance.assign(tf.math.log(variance + 1e-6))
            self.is_set = True
        return (
            tf.convert_to_tensor(self.mean),
            tf.exp(tf.convert_to_tensor(self.log_variance)),
        )


@contextlib.contextmanager
def act_norm() -> Iterator[None]:
    """ActNorm between couplings; the networks keep their batch normalization."""
    with mock.patch.object(couplings, "BatchMoments", LearnedMoments):
        yield


def learned_base(event_shape: tuple[int, ...]) -> tfd.Distribution:
    """Returns a normal with a mean and a scale to learn for every latent."""
    scale = tfp.util.TransformedVariable(tf.ones(event_shape), tfb.Exp())
    return tfd.Independent(tfd.Normal(tf.Variable(tf.zeros(event_shape)), scale), 3)
