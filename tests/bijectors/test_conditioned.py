import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfb = tfp.bijectors
tfd = tfp.distributions


@pytest.fixture(scope="module")
def flow():
    bijector = nvp.RealNVPBijector(
        (2,), num_couplings=2, hidden_units=(4,), condition_size=3, seed=0
    )
    base = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    return tfd.TransformedDistribution(base, bijector)


def conditioned(flow, condition):
    return flow.copy(bijector=nvp.Conditioned(flow.bijector, condition))


@pytest.mark.parametrize(
    ("condition", "shape"),
    [(1, ()), ([0, 2, 1], (3,)), ([[0], [1]], (2, 1)), (np.eye(3)[:2], (2,))],
)
def test_leading_dimensions_of_the_condition_are_a_batch_shape(flow, condition, shape):
    given = conditioned(flow, condition)
    assert given.batch_shape == shape
    x = given.sample(5, seed=(0, 1))
    assert x.shape == (5, *shape, 2)
    expected = flow.log_prob(tf.identity(x), bijector_kwargs={"condition": condition})
    np.testing.assert_allclose(given.log_prob(x), expected, rtol=1e-5)


def test_each_of_several_labels_has_a_draw_of_its_own(flow):
    x = conditioned(flow, [1, 1]).sample(seed=(0, 1))
    assert np.abs(x[0] - x[1]).max() > 1e-3
    of_all = flow.sample(seed=(0, 1), bijector_kwargs={"condition": [1, 1]})
    np.testing.assert_array_equal(of_all[0], of_all[1])


def test_weights_are_those_of_the_bijector_also_in_a_joint_distribution(flow):
    joint = tfd.JointDistributionSequential(
        [conditioned(flow, 2), lambda x: tfd.Normal(x[..., 0], 1.0)]
    )
    found = {id(v) for v in joint.trainable_variables}
    assert found == {id(v) for v in flow.trainable_variables} != set()


def test_the_condition_can_be_another_variable_of_a_joint_distribution(flow):
    joint = tfd.JointDistributionSequential(
        [tfd.Categorical(logits=tf.zeros(3)), lambda z: conditioned(flow, z)]
    )
    label, x = joint.sample(7, seed=(0, 1))
    expected = flow.log_prob(x, bijector_kwargs={"condition": label}) - np.log(3.0)
    np.testing.assert_allclose(joint.log_prob([label, x]), expected, rtol=1e-4)


def test_a_condition_watched_later_has_a_gradient(flow):
    vector, x = tf.constant([0.2, 0.3, 0.5]), tf.ones([4, 2])
    given = conditioned(flow, vector)
    kept = given.log_prob(x)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(given.bijector.condition)
        log_prob = given.log_prob(x)
    assert tape.gradient(log_prob, given.bijector.condition) is not None
    np.testing.assert_array_equal(kept, log_prob)


def test_a_chain_of_a_conditioned_and_a_conditional_flow(flow):
    chain = nvp.FusedChain([nvp.Conditioned(flow.bijector, 0), flow.bijector])
    x = tf.ones([3, 2])
    y = chain.forward(x, condition=[0, 1, 2])
    inner = flow.bijector.forward(x, condition=[0, 1, 2])
    np.testing.assert_allclose(y, flow.bijector.forward(inner, condition=0), atol=1e-6)
    with pytest.raises(ValueError, match="bijectors: expected .* batch shape \\(2,\\)"):
        nvp.FusedChain([nvp.Conditioned(flow.bijector, [0, 1]), tfb.Exp()])


def test_what_takes_no_condition_is_refused(flow):
    with pytest.raises(
        ValueError, match="bijector: expected one with a condition_size"
    ):
        nvp.Conditioned(nvp.BatchNorm((2,)), 0)
    with pytest.raises(TypeError, match="bijector: expected a FusedBijector, got"):
        nvp.Conditioned(tfb.Exp(), 0)
    with pytest.raises(TypeError, match="condition: expected .* got a variable"):
        nvp.Conditioned(flow.bijector, tf.Variable([1.0, 0.0, 0.0]))
    with pytest.raises(ValueError, match="condition: expected integer labels in"):
        nvp.Conditioned(flow.bijector, 3)


def test_a_frozen_copy_has_the_same_condition(flow):
    given = conditioned(flow, [0, 2])
    frozen, x = nvp.freeze(given), tf.ones([2, 2])
    assert frozen.trainable_variables == ()
    np.testing.assert_allclose(frozen.log_prob(x), given.log_prob(x), rtol=1e-5)
