"""Conditions: their dtypes and shapes, how they broadcast, and their errors."""

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


def vector_flow(**options):
    return nvp.RealNVPBijector((4,), num_couplings=4, hidden_units=(8,), **options)


@pytest.fixture(scope="module")
def vector():
    flow = vector_flow(condition_size=3, seed=0)
    perturb(flow)
    return flow


@pytest.fixture(scope="module")
def image():
    sizes = {"filters": 4, "num_blocks": 1}
    flow = nvp.RealNVPBijector((4, 4, 1), condition_size=3, seed=0, **sizes)
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


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "uint8", "int64"])
def test_labels_are_one_hot_vectors(flow, dtype):
    x, labels = events(flow, 3), [2, 0, 1]
    given = np.array(labels) if "int" in dtype else np.eye(3)[labels]
    found = flow.forward(x, condition=given.astype(dtype))
    tf.debugging.assert_equal(found, flow.forward(x, condition=labels))


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
    labels = np.random.default_rng(1).integers(0, 3, condition_shape)
    x = events(vector, *leading)
    y = vector.forward(x, condition=labels)
    log_det = vector.forward_log_det_jacobian(tf.identity(x), condition=labels)
    assert y.shape == (*result, 4) and log_det.shape == result
    xs = np.broadcast_to(x, (*result, 4)).reshape(-1, 4)
    for i, label in enumerate(np.broadcast_to(labels, result).ravel()):
        alone = vector.forward(tf.constant(xs[i]), condition=label)
        np.testing.assert_allclose(tf.reshape(y, [-1, 4])[i], alone, atol=1e-6)


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
        assert np.any(gradient[:2]) and not np.any(gradient[2:])


def test_unconditional_members_of_a_conditional_chain_do_without(vector):
    plain = vector_flow()
    chain = nvp.FusedChain([plain, nvp.BatchNorm((4,)), tfb.Invert(vector)])
    assert chain.condition_size == 3
    y = chain.forward(events(vector, 2), condition=[0, 1])
    back = chain.inverse(tf.identity(y), condition=[0, 1])
    np.testing.assert_allclose(back, events(vector, 2), atol=1e-4)
    composed = tfb.Chain([plain, vector.copy(name="second")])
    assert nested_kwargs(composed, training=True, condition=1) == {
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
    flow = vector_flow()
    message = "condition: expected none, .* without condition_size; got int64"
    for bijector in (flow, flow.body, flow.body.bijectors[0], nvp.BatchNorm((4,))):
        with pytest.raises(ValueError, match=message):
            bijector.forward(tf.zeros([4]), condition=1)


HEAD = nvp.ShiftAndLogScale(keras.layers.Dense(4))


def coupling(network, size):
    return nvp.AffineCoupling((4,), network, nvp.channel_mask, condition_size=size)


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("condition_size: expected a positive", lambda flow: coupling(HEAD, 0)),
        (
            "network: expected a layer whose call",
            lambda flow: coupling(HEAD.network, 2),
        ),
        ("network: expected a layer .* condition", lambda flow: coupling(HEAD, 2)),
        (
            "one condition_size .* got 3, 5",
            lambda flow: nvp.FusedChain([flow, vector_flow(condition_size=5)]),
        ),
        (
            r"bijectors: expected .* batch shape \(2,\)",
            lambda flow: nvp.FusedChain([nvp.Conditioned(flow, [0, 1]), tfb.Exp()]),
        ),
        (
            "bijector: expected one with a condition_size",
            lambda flow: nvp.Conditioned(nvp.BatchNorm((2,)), 0),
        ),
        (
            "condition: expected .* got a variable",
            lambda flow: nvp.Conditioned(flow, tf.Variable([1.0, 0.0, 0.0])),
        ),
        ("condition: expected integer", lambda flow: nvp.Conditioned(flow, 3)),
    ],
)
def test_conditional_parts_that_do_not_fit_are_refused(message, make, vector):
    with pytest.raises((TypeError, ValueError), match=message):
        make(vector)


def conditioned(flow, condition):
    given = nvp.Conditioned(flow, condition)
    return distribution_of(flow).copy(bijector=given)


@pytest.mark.parametrize(
    ("condition", "shape"),
    [(1, ()), ([0, 2, 1], (3,)), ([[0], [1]], (2, 1)), (np.eye(3)[:2], (2,))],
)
def test_leading_dimensions_of_the_condition_are_a_batch_shape(
    vector, condition, shape
):
    given = conditioned(vector, condition)
    assert given.batch_shape == shape
    x = given.sample(5, seed=(0, 1))
    assert x.shape == (5, *shape, 4)
    kwargs = {"bijector_kwargs": {"condition": condition}}
    expected = distribution_of(vector).log_prob(tf.identity(x), **kwargs)
    np.testing.assert_allclose(given.log_prob(x), expected, rtol=1e-4, atol=1e-4)


def test_each_of_several_labels_has_a_draw_of_its_own(vector):
    x = conditioned(vector, [1, 1]).sample(seed=(0, 1))
    assert np.abs(x[0] - x[1]).max() > 1e-3
    kwargs = {"bijector_kwargs": {"condition": [1, 1]}}
    of_all = distribution_of(vector).sample(seed=(0, 1), **kwargs)
    np.testing.assert_array_equal(of_all[0], of_all[1])


def test_the_condition_can_be_another_variable_of_a_joint_distribution(vector):
    joint = tfd.JointDistributionSequential(
        [tfd.Categorical(logits=tf.zeros(3)), lambda z: conditioned(vector, z)]
    )
    label, x = joint.sample(7, seed=(0, 1))
    kwargs = {"bijector_kwargs": {"condition": label}}
    expected = distribution_of(vector).log_prob(x, **kwargs) - np.log(3.0)
    np.testing.assert_allclose(joint.log_prob([label, x]), expected, rtol=1e-4)


def test_a_condition_watched_later_has_a_gradient(vector):
    given, x = conditioned(vector, tf.constant([0.2, 0.3, 0.5])), tf.ones([4, 4])
    kept = given.log_prob(x)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(given.bijector.condition)
        log_prob = given.log_prob(x)
    assert tape.gradient(log_prob, given.bijector.condition) is not None
    np.testing.assert_array_equal(kept, log_prob)


def test_a_chain_of_a_conditioned_and_a_conditional_flow(vector):
    chain, x = nvp.FusedChain([nvp.Conditioned(vector, 0), vector]), tf.ones([3, 4])
    y = chain.forward(x, condition=[0, 1, 2])
    inner = vector.forward(x, condition=[0, 1, 2])
    np.testing.assert_allclose(y, vector.forward(inner, condition=0), atol=1e-6)


def test_a_frozen_copy_has_the_same_condition(vector):
    given, x = conditioned(vector, [0, 2]), tf.ones([2, 4])
    frozen = nvp.freeze(given)
    assert frozen.trainable_variables == ()
    np.testing.assert_allclose(frozen.log_prob(x), given.log_prob(x), rtol=1e-5)
