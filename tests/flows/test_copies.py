"""Flows copied, pickled, and made again from their configurations."""

import copy
import functools
import json
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.flows.config import from_config, to_config

tfb = tfp.bijectors
tfd = tfp.distributions


def flow(base):
    bijector = nvp.RealNVPBijector((2,), num_couplings=2, hidden_units=(4,), seed=0)
    return tfd.TransformedDistribution(base, bijector)


def sample(loc=0.0):
    return tfd.Sample(tfd.Normal(loc, 1.0), 2)


def through_json(value):
    return from_config(json.loads(json.dumps(to_config(value))))


DISTRIBUTIONS = {
    "independent": lambda: flow(tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)),
    "sample": lambda: flow(sample(tf.Variable(0.5))),
    "multivariate": lambda: flow(tfd.MultivariateNormalDiag(tf.Variable([0.0, 1.0]))),
    "flow_of_a_flow": lambda: flow(flow(sample())),
    "mixture": lambda: tfd.Mixture(
        tfd.Categorical(logits=tf.Variable([0.0, 1.0])),
        [flow(sample()), flow(sample())],
    ),
    "mixture_same_family": lambda: flow(
        tfd.MixtureSameFamily(
            tfd.Categorical(logits=[0.0, 1.0]),
            tfd.MultivariateNormalDiag(tf.Variable([[0.0, 1.0], [2.0, 3.0]])),
        )
    ),
    "image_flow": lambda: nvp.image_flow(
        event_shape=(4, 4, 1), filters=4, num_blocks=1, seed=0
    ),
}


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distribution_is_copied_with_its_weights(name, how):
    distribution = DISTRIBUTIONS[name]()
    x = tf.fill(distribution.event_shape, 0.7)
    expected = distribution.log_prob(x)
    if how == "pickle":
        twin = pickle.loads(pickle.dumps(distribution))
    else:
        twin = copy.deepcopy(distribution)
    np.testing.assert_array_equal(twin.log_prob(tf.identity(x)), expected)
    ours, theirs = distribution.trainable_variables, twin.trainable_variables
    assert len(ours) == len(theirs) > 0
    for variable in theirs:
        variable.assign(variable + 0.1)
    np.testing.assert_array_equal(distribution.log_prob(tf.identity(x)), expected)
    assert np.all(twin.log_prob(tf.identity(x)) != expected)


def test_what_occurs_twice_is_shared_as_before():
    bijector = flow(sample()).bijector
    loc = tf.Variable([0.0, 1.0], name="loc")
    members = [
        tfd.TransformedDistribution(tfd.MultivariateNormalDiag(loc), member)
        for member in (bijector, bijector.copy(name="copied"))
    ]
    mixture = tfd.Mixture(tfd.Categorical(logits=loc), members)
    for again in (through_json(mixture), copy.deepcopy(mixture)):
        assert len(again.trainable_variables) == len(mixture.trainable_variables) == 11
        first, second = (c.bijector for c in again.components)
        assert first.body is second.body is not bijector.body
        assert second.name == "copied"


def test_values_of_variables_and_tensors_are_exact():
    scale = tfp.util.TransformedVariable(
        np.float64([0.1, 1e-30]), tfb.Softplus(), dtype=tf.float64
    )
    base = tfd.MultivariateNormalDiag(tf.constant([1 / 3, 0], tf.float64), scale)
    again = through_json(base)
    (found,), (expected,) = again.trainable_variables, base.trainable_variables
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(again.mean(), base.mean())


def test_activations_of_keras_are_known_by_name():
    slope = functools.partial(keras.activations.leaky_relu, negative_slope=0.5)
    for activation in (keras.activations.tanh, slope):
        bijector = nvp.RealNVPBijector((2,), activation=activation)
        found = through_json(bijector).parameters["conditioner"].activation
        assert repr(found) == repr(activation)


def test_memory_is_kept_and_configurations_from_before_store():
    stored = nvp.RealNVPBijector((4,))
    twin = stored.copy(memory="recompute")
    assert twin.body is stored.body
    assert through_json(twin).parameters["memory"] == "recompute"
    assert "memory" not in to_config(stored)["of"]
    assert through_json(stored).parameters["memory"] == "stored"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: nvp.RealNVPBijector((2,), activation=lambda x: x),
            "flow.conditioner.activation: expected what public classes",
        ),
        (
            lambda: tfb.Chain([nvp.BatchNorm((2,)), type("Mine", (tfb.Exp,), {})()]),
            r"flow.bijectors\[1\]: expected what public classes .* got .*Mine",
        ),
    ],
)
def test_what_cannot_be_described_is_refused_with_its_place(make, message):
    with pytest.raises(TypeError, match=message):
        to_config(make())
