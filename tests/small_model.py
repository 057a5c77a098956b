"""Models that train in a second, and what is to be compared of two of them."""

import functools

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfd = tfp.distributions


def vector_model(seed=0, **kwargs):
    flow = tfd.TransformedDistribution(
        # TFP would keep the graphs of a `MultivariateNormalDiag` to the end.
        tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1),
        nvp.RealNVPBijector(
            (2,), num_couplings=4, hidden_units=(8, 8), batch_norm="batch", seed=seed
        ),
    )
    model = nvp.FlowModel(flow, seed=seed)
    model.compile(keras.optimizers.Adam(1e-2), **kwargs)
    return model


def normal_model(dtype="float32", run_eagerly=True):
    """A normal distribution with one weight, its mean, that learns at a rate of 0.1."""
    mean = tf.Variable(tf.zeros([2], dtype), name="mean")
    flow = tfd.Independent(tfd.Normal(mean, tf.ones([], dtype)), 1)
    model = nvp.FlowModel(flow, seed=0)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=run_eagerly)
    return model


def conditional_model(run_eagerly=True, **sizes):
    small = {"num_couplings": 2, "hidden_units": (4,), "condition_size": 3}
    flow = tfd.TransformedDistribution(
        tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1),
        nvp.RealNVPBijector((2,), seed=0, **{**small, **sizes}),
    )
    model = nvp.FlowModel(flow, seed=0)
    model.compile("sgd", run_eagerly=run_eagerly)
    return model


def new_image_model(seed=0, **sizes):
    small = {"event_shape": (4, 4, 1), "num_scales": 1, "filters": 4, "num_blocks": 1}
    flow = nvp.image_flow(**{**small, **sizes}, seed=seed)
    model = nvp.FlowModel(flow, seed=seed)
    model.compile()
    return model


@functools.cache
def _image_model_and_state():
    model = new_image_model()
    return model, state(model)


def image_model():
    """Returns `new_image_model()`, to train and not to compile.

    It is the same for all tests, whose graphs are made once, with all that training
    changes put back to how it was at first.
    """
    model, values = _image_model_and_state()
    for variable, value in zip(variables_of(model), values, strict=True):
        variable.assign(value)
    model.step, model.last_report = 0, {}
    return model


def vectors(count=64):
    return np.random.default_rng(0).normal(size=[count, 2]).astype("float32")


def variables_of(model):
    return [*model.weights, *model.optimizer.variables, *model.noise_states]


def state(model):
    return [v.numpy() for v in variables_of(model)]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
