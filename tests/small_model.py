"""A model that trains in a second, and what is to be compared of two of them."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfd = tfp.distributions


def vector_model(seed=0, **kwargs):
    flow = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2)),
        nvp.RealNVPBijector(
            (2,), num_couplings=4, hidden_units=(8, 8), batch_norm="batch", seed=seed
        ),
    )
    model = nvp.FlowModel(flow, seed=seed)
    model.compile(keras.optimizers.Adam(1e-2), **kwargs)
    return model


def vectors(count=64):
    return np.random.default_rng(0).normal(size=[count, 2]).astype("float32")


def state(model):
    variables = [*model.weights, *model.optimizer.variables, *model.noise_states]
    return [v.numpy() for v in variables]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
