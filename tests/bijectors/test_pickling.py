"""Copies of TFP's wrappers, which TFP by itself cannot make."""

import copy
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfb = tfp.bijectors
tfd = tfp.distributions


def flow(base):
    bijector = nvp.RealNVPBijector((2,), num_couplings=2, hidden_units=(4,), seed=0)
    return tfd.TransformedDistribution(base, bijector)


DISTRIBUTIONS = {
    "independent": lambda: flow(tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)),
    "sample": lambda: flow(tfd.Sample(tfd.Normal(tf.Variable(0.5), 1.0), 2)),
    "multivariate": lambda: flow(tfd.MultivariateNormalDiag(tf.Variable([0.0, 1.0]))),
    "flow_of_a_flow": lambda: flow(flow(tfd.Sample(tfd.Normal(0.0, 1.0), 2))),
    "mixture": lambda: tfd.Mixture(
        tfd.Categorical(logits=tf.Variable([0.0, 1.0])),
        [flow(tfd.Sample(tfd.Normal(0.0, 1.0), 2)) for _ in range(2)],
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


def pickled(value):
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("how", [copy.deepcopy, pickled], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distribution_is_copied_with_its_weights(name, how):
    distribution = DISTRIBUTIONS[name]()
    x = tf.fill(distribution.event_shape, 0.7)
    expected = distribution.log_prob(x)
    twin = how(distribution)
    np.testing.assert_array_equal(twin.log_prob(tf.identity(x)), expected)
    ours, theirs = distribution.trainable_variables, twin.trainable_variables
    assert len(ours) == len(theirs) > 0
    for variable in theirs:
        variable.assign(variable + 0.1)
    np.testing.assert_array_equal(distribution.log_prob(tf.identity(x)), expected)
    assert np.all(twin.log_prob(tf.identity(x)) != expected)


def test_members_that_share_weights_still_share_them_in_the_copy():
    distribution = flow(tfd.Sample(tfd.Normal(0.0, 1.0), 2))
    pair = [distribution.bijector, distribution.bijector.copy(name="copied")]
    first, second = copy.deepcopy(pair)
    assert first.body is second.body
    assert first.body is not distribution.bijector.body
