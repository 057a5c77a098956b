"""Conditions: what they may be, how they broadcast, how they go wrong."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import perturb

import tfp_realnvp as nvp
from tfp_realnvp.bijectors.fused_chain import nested_kwargs

tfb = tfp.bijectors
tfd = tfp.distributions


@pytest.fixture(scope="module")
def vector():
    flow = nvp.RealNVPBijector(
        (4,), num_couplings=4, hidden_units=(8,), condition_size=3, seed=0
    )
    perturb(flow)
    return flow


@pytest.fixture(scope="module")
def image():
    flow = nvp.RealNVPBijector(
        (4, 4, 1), filters=4, num_blocks=1, condition_size=3, seed=0
    )
    perturb(flow)
    return flow


@pytest.fixture(params=["vector", "image"])
def flow(request):
    return request.getfixturevalue(request.param)


def events(flow, *leading):
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(size=(*leading, *flow.event_shape)), tf.float32)


def distribution_of(flow):
    base = tfd.Sample(tfd.Normal(0.0, 1.0), flow.event_shape)
    return tfd.TransformedDistribution(base, flow)


def test_labels_are_one_hot_vectors(flow):
    x = events(flow, 3)
    labels = [2, 0, 1]
    by_label = flow.forward(x, condition=labels)
    for dtype in ("float32", "float64", "bool"):
        vectors = np.eye(3)[labels].astype(dtype)
        tf.debugging.assert_equal(flow.forward(x, condition=vectors), by_label)
    for dtype in ("uint8", "int64"):
        same = flow.forward(x, condition=np.array(labels, dtype))
        tf.debugging.assert_equal(same, by_label)


@pytest.mark.parametrize(
    ("leading", "condition_shape", "result"),
    [
        ((), (), ()),
        ((5,), (), (5,)),
        ((5,), (5,), (5,)),
        ((2, 5), (5,), (2, 5)),
        ((2, 5), (2, 1), (2, 5)),
        ((), (3,), (3,)),
        ((4, 1), (3,), (4, 3)),
    ],
)
def test_conditions_and_events_broadcast_against_each_other(
    vector, leading, condition_shape, result
):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, condition_shape)
    x = events(vector, *leading)
    y = vector.forward(x, condition=labels)
    log_det = vector.forward_log_det_jacobian(tf.identity(x), condition=labels)
    assert y.shape == (*result, 4)
    assert log_det.shape == result
    xs = np.broadcast_to(x, (*result, 4)).reshape(-1, 4)
    for i, label in enumerate(np.broadcast_to(labels, result).ravel()):
        alone = vector.forward(tf.constant(xs[i]), condition=label)
        np.testing.assert_allclose(tf.reshape(y, [-1, 4])[i], alone, atol=1e-6)


def test_distributions_pass_the_condition_on(flow):
    distribution = distribution_of(flow)
    kwargs = {"bijector_kwargs": {"condition": tf.constant([0, 1, 2])}}
    x = distribution.sample([4, 3], seed=(0, 1), **kwargs)
    assert x.shape == (4, 3, *flow.event_shape)
    log_prob = distribution.log_prob(tf.identity(x), **kwargs)
    latents = flow.inverse(tf.identity(x), condition=[0, 1, 2])
    expected = distribution.distribution.log_prob(latents)
    expected += flow.inverse_log_det_jacobian(tf.identity(x), condition=[0, 1, 2])
    np.testing.assert_allclose(log_prob, expected, rtol=1e-4, atol=1e-4)
    all_labels = distribution.log_prob(
        x[:, :1], bijector_kwargs={"condition": tf.range(3)}
    )
    np.testing.assert_allclose(all_labels[:, 0], log_prob[:, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("examples", "count"), [(1, 3), (3, 1)])
def test_conditions_and_events_of_unknown_batch_sizes_broadcast(
    vector, examples, count
):
    specs = tf.TensorSpec([None, 4], tf.float32), tf.TensorSpec([None], tf.int32)
    inverse = tf.function(
        lambda y, labels: vector.inverse(y, condition=labels), input_signature=specs
    )
    y, labels = events(vector, 3)[:examples], tf.range(3)[:count]
    expected = vector.inverse(y, condition=labels)
    assert expected.shape == (3, 4)
    np.testing.assert_allclose(inverse(y, labels), expected, atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="[Ii]ncompatible shapes"):
        inverse(events(vector, 2), tf.range(3))


def test_every_coupling_network_is_conditioned(flow):
    flow = flow.copy(seed=1)
    projections = [v for v in flow.trainable_variables if "project" in v.name]
    couplings = [m for m in flow.submodules if isinstance(m, nvp.AffineCoupling)]
    assert len(projections) == len(couplings)
    x = events(flow, 2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(flow.inverse(x, condition=[0, 1]) ** 2)
    for gradient in tape.gradient(loss, projections):
        used, unused = gradient[:2], gradient[2:]
        assert np.any(used)
        assert not np.any(unused)


def test_unconditional_members_of_a_conditional_chain_do_without(vector):
    plain = nvp.RealNVPBijector((4,), num_couplings=2, hidden_units=(8,))
    chain = nvp.FusedChain([plain, nvp.BatchNorm((4,)), tfb.Invert(vector)])
    assert chain.condition_size == 3
    y = chain.forward(events(vector, 2), condition=[0, 1])
    back = chain.inverse(tf.identity(y), condition=[0, 1])
    np.testing.assert_allclose(back, events(vector, 2), atol=1e-4)
    composed = tfb.Chain([plain, vector.copy(name="second")])
    kwargs = nested_kwargs(composed, training=True, condition=1)
    assert kwargs == {
        "real_nvp_bijector": {"training": True},
        "second": {"training": True, "condition": 1},
    }


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (None, r"condition: expected integer labels in \[0, 3\) .* got None"),
        (3, "got labels from 3 to 3"),
        ([0, -1], "got labels from -1 to 0"),
        (np.zeros([2, 4]), r"got float64 of shape \(2, 4\)"),
        (0.5, r"got float64 of shape \(\)"),
        ("red", "condition: expected an array of numbers"),
        ([0, 1, 2], r"broadcast against the batch shape \(2,\), got \(3,\)"),
    ],
)
def test_a_bad_condition_is_refused_with_what_came(flow, condition, message):
    x = events(flow, 2)
    for method in (flow.forward, flow.inverse, flow.inverse_log_det_jacobian):
        with pytest.raises(ValueError, match=message):
            method(x, condition=condition)


def test_labels_out_of_range_are_refused_in_graphs_with_validate_args(vector):
    checked = vector.copy(validate_args=True)
    forward = tf.function(lambda x, label: checked.forward(x, condition=label))
    with pytest.raises(tf.errors.InvalidArgumentError, match="got labels"):
        forward(events(vector, 1), tf.constant([7]))


def test_an_unconditional_bijector_refuses_a_condition():
    flow = nvp.RealNVPBijector((4,), num_couplings=2, hidden_units=(8,))
    message = "condition: expected none, .* without condition_size; got int64"
    for bijector in (flow, flow.body, flow.body.bijectors[0], nvp.BatchNorm((4,))):
        with pytest.raises(ValueError, match=message):
            bijector.forward(tf.zeros([4]), condition=1)


def test_conditional_parts_that_do_not_fit_are_refused(vector):
    dense = nvp.ShiftAndLogScale(keras.layers.Dense(2))
    with pytest.raises(ValueError, match="condition_size: expected a positive int"):
        nvp.AffineCoupling((2,), dense, nvp.channel_mask, condition_size=0)
    with pytest.raises(ValueError, match="network: expected a layer whose call takes"):
        nvp.AffineCoupling(
            (2,), keras.layers.Dense(2), nvp.channel_mask, condition_size=2
        )
    other = nvp.RealNVPBijector(
        (4,), num_couplings=2, hidden_units=(8,), condition_size=5
    )
    with pytest.raises(ValueError, match="one condition_size .* got 3, 5"):
        nvp.FusedChain([vector, other])


@pytest.fixture(scope="module")
def small():
    bijector = nvp.RealNVPBijector(
        (2,), num_couplings=2, hidden_units=(4,), condition_size=3, seed=0
    )
    base = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    return tfd.TransformedDistribution(base, bijector)


def conditioned(small, condition):
    return small.copy(bijector=nvp.Conditioned(small.bijector, condition))


@pytest.mark.parametrize(
    ("condition", "shape"),
    [(1, ()), ([0, 2, 1], (3,)), ([[0], [1]], (2, 1)), (np.eye(3)[:2], (2,))],
)
def test_leading_dimensions_of_the_condition_are_a_batch_shape(small, condition, shape):
    given = conditioned(small, condition)
    assert given.batch_shape == shape
    x = given.sample(5, seed=(0, 1))
    assert x.shape == (5, *shape, 2)
    expected = small.log_prob(tf.identity(x), bijector_kwargs={"condition": condition})
    np.testing.assert_allclose(given.log_prob(x), expected, rtol=1e-5)


def test_each_of_several_labels_has_a_draw_of_its_own(small):
    x = conditioned(small, [1, 1]).sample(seed=(0, 1))
    assert np.abs(x[0] - x[1]).max() > 1e-3
    of_all = small.sample(seed=(0, 1), bijector_kwargs={"condition": [1, 1]})
    np.testing.assert_array_equal(of_all[0], of_all[1])


def test_the_condition_can_be_another_variable_of_a_joint_distribution(small):
    joint = tfd.JointDistributionSequential(
        [tfd.Categorical(logits=tf.zeros(3)), lambda z: conditioned(small, z)]
    )
    label, x = joint.sample(7, seed=(0, 1))
    expected = small.log_prob(x, bijector_kwargs={"condition": label}) - np.log(3.0)
    np.testing.assert_allclose(joint.log_prob([label, x]), expected, rtol=1e-4)


def test_a_condition_watched_later_has_a_gradient(small):
    vector, x = tf.constant([0.2, 0.3, 0.5]), tf.ones([4, 2])
    given = conditioned(small, vector)
    kept = given.log_prob(x)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(given.bijector.condition)
        log_prob = given.log_prob(x)
    assert tape.gradient(log_prob, given.bijector.condition) is not None
    np.testing.assert_array_equal(kept, log_prob)


def test_a_chain_of_a_conditioned_and_a_conditional_flow(small):
    chain = nvp.FusedChain([nvp.Conditioned(small.bijector, 0), small.bijector])
    x = tf.ones([3, 2])
    y = chain.forward(x, condition=[0, 1, 2])
    inner = small.bijector.forward(x, condition=[0, 1, 2])
    np.testing.assert_allclose(y, small.bijector.forward(inner, condition=0), atol=1e-6)
    with pytest.raises(ValueError, match="bijectors: expected .* batch shape \\(2,\\)"):
        nvp.FusedChain([nvp.Conditioned(small.bijector, [0, 1]), tfb.Exp()])


def test_what_takes_no_condition_is_refused(small):
    with pytest.raises(
        ValueError, match="bijector: expected one with a condition_size"
    ):
        nvp.Conditioned(nvp.BatchNorm((2,)), 0)
    with pytest.raises(TypeError, match="condition: expected .* got a variable"):
        nvp.Conditioned(small.bijector, tf.Variable([1.0, 0.0, 0.0]))
    with pytest.raises(ValueError, match="condition: expected integer labels in"):
        nvp.Conditioned(small.bijector, 3)


def test_a_frozen_copy_has_the_same_condition(small):
    given = conditioned(small, [0, 2])
    frozen, x = nvp.freeze(given), tf.ones([2, 2])
    assert frozen.trainable_variables == ()
    np.testing.assert_allclose(frozen.log_prob(x), given.log_prob(x), rtol=1e-5)
