"""How often the networks run, counted while they do."""

import functools

import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfb = tfp.bijectors
tfd = tfp.distributions

COUPLINGS = 10


@pytest.fixture
def runs(monkeypatch):
    counter = tf.Variable(0)
    call = nvp.ShiftAndLogScale.call

    @functools.wraps(call)
    def counted(self, *args, **kwargs):
        counter.assign_add(1)
        return call(self, *args, **kwargs)

    monkeypatch.setattr(nvp.ShiftAndLogScale, "call", counted)
    return counter


def alone(flow):
    return flow


def in_chain(flow):
    return tfb.Chain([tfb.Shift(1.0), flow, tfb.Scale(2.0)], name="chain")


def in_invert_twice(flow):
    return tfb.Invert(tfb.Invert(flow))


def in_fused_chain(flow):
    return nvp.FusedChain([nvp.PixelLogit(), flow])


@pytest.fixture(params=[alone, in_chain, in_invert_twice, in_fused_chain])
def distribution(request):
    flow = nvp.RealNVPBijector((4, 4, 1), filters=4, num_blocks=1, seed=0)
    base = tfd.Independent(tfd.Normal(tf.zeros([4, 4, 1]), 1.0), 3)
    return tfd.TransformedDistribution(base, request.param(flow))


def eager(function):
    return function


def graph(function):
    return tf.function(function)


def xla(function):
    return tf.function(function, jit_compile=True)


every_mode = pytest.mark.parametrize("mode", [eager, graph, xla])


@every_mode
def test_log_prob_runs_each_network_once(mode, distribution, runs):
    log_prob = mode(lambda x: distribution.log_prob(x))
    log_prob(tf.ones([2, 4, 4, 1]))
    assert runs.numpy() == COUPLINGS


@every_mode
def test_gradient_of_log_prob_runs_each_network_forward_once(mode, distribution, runs):
    @mode
    def gradients(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(distribution.log_prob(x))
        return tape.gradient(loss, distribution.trainable_variables)

    assert all(g is not None for g in gradients(tf.ones([2, 4, 4, 1])))
    assert runs.numpy() == COUPLINGS


@every_mode
def test_sample_runs_each_network_once(mode, distribution, runs):
    mode(lambda: distribution.sample(2, seed=[0, 1]))()
    assert runs.numpy() == COUPLINGS


@every_mode
def test_log_prob_of_a_sample_just_drawn_runs_no_network_again(
    mode, distribution, runs
):
    def sample_and_score():
        x = distribution.sample(2, seed=[0, 1])
        return x, distribution.log_prob(x)

    x, log_prob = mode(sample_and_score)()
    assert runs.numpy() == COUPLINGS
    expected = distribution.log_prob(tf.identity(x))
    tf.debugging.assert_near(log_prob, expected, rtol=1e-3, atol=1e-3)


@every_mode
def test_sample_and_log_prob_runs_each_network_once(mode, distribution, runs):
    mode(lambda: distribution.experimental_sample_and_log_prob(2, seed=[0, 1]))()
    assert runs.numpy() == COUPLINGS


def test_training_updates_the_moving_averages_once():
    flow = nvp.RealNVPBijector((4, 4, 1), filters=4, num_blocks=1, seed=0)
    base = tfd.Independent(tfd.Normal(tf.zeros([4, 4, 1]), 1.0), 3)
    distribution = tfd.TransformedDistribution(base, flow)
    moments = flow.body.bijectors[1].moments
    x = tf.random.stateless_normal([64, 4, 4, 1], seed=[0, 0], mean=3.0)
    distribution.log_prob(x, bijector_kwargs={"training": True})
    fresh = nvp.RealNVPBijector((4, 4, 1), filters=4, num_blocks=1, seed=0)
    # The first coupling's output, normalized once by hand.
    h = fresh.body.bijectors[0].inverse(x, training=True)
    fresh.body.bijectors[1].inverse(h, training=True)
    expected = fresh.body.bijectors[1].moments.moving_mean
    tf.debugging.assert_near(moments.moving_mean.value, expected.value)


def test_a_sample_drawn_outside_the_tape_still_gives_gradients_inside():
    flow = nvp.RealNVPBijector((4, 4, 1), filters=4, num_blocks=1, seed=0)
    base = tfd.Independent(tfd.Normal(tf.zeros([4, 4, 1]), 1.0), 3)
    distribution = tfd.TransformedDistribution(base, flow)
    x = distribution.sample(2, seed=0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(distribution.log_prob(x))
    gradients = tape.gradient(loss, distribution.trainable_variables)
    assert all(g is not None for g in gradients)


def test_a_tensor_seen_by_one_graph_can_be_scored_in_another():
    flow = nvp.RealNVPBijector((4, 4, 1), filters=4, num_blocks=1, seed=0)
    x = tf.ones([2, 4, 4, 1])
    kept = []

    def inverse():
        kept.append(flow.inverse(x))
        return kept[-1]

    first, second = tf.function(inverse)(), tf.function(inverse)()
    tf.debugging.assert_equal(first, second)
    tf.debugging.assert_near(first, flow.inverse(x))


def test_a_value_seen_before_the_tape_still_gives_gradients_to_its_input():
    logit = nvp.PixelLogit()
    y = tf.constant([10.0, 100.0])
    kept = logit.inverse(y)
    with tf.GradientTape() as tape:
        tape.watch(y)
        x = logit.inverse(y)
    assert tape.gradient(x, y) is not None
    assert kept is not x


def test_log_prob_under_a_tape_that_watches_something_else():
    flow = nvp.RealNVPBijector((4, 4, 1), filters=4, num_blocks=1, seed=0)
    x = tf.ones([2, 4, 4, 1])
    expected = flow.inverse_log_det_jacobian(tf.identity(x))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        other = tf.constant(1.0)
        tape.watch(other)
        tf.debugging.assert_equal(flow.inverse_log_det_jacobian(x), expected)
        z = flow.inverse(x)
        tf.debugging.assert_equal(-flow.forward_log_det_jacobian(z), expected)


def test_two_tapes_one_after_the_other_both_get_gradients():
    flow = nvp.RealNVPBijector((4, 4, 1), filters=4, num_blocks=1, seed=0)
    x, kept = tf.ones([2, 4, 4, 1]), []
    for _ in range(2):
        with tf.GradientTape() as tape:
            kept.append(flow.inverse(x))
            loss = tf.reduce_sum(kept[-1]) + tf.reduce_sum(
                flow.inverse_log_det_jacobian(x)
            )
        gradients = tape.gradient(loss, flow.trainable_variables)
        assert all(g is not None for g in gradients)
