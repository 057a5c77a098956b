"""How often the networks run, counted while they do."""

import dataclasses
import functools
import gc
import weakref

import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfb = tfp.bijectors
tfd = tfp.distributions


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


@dataclasses.dataclass(frozen=True)
class Flow:
    """A distribution, with what it must be given, and how many networks it has."""

    distribution: tfd.Distribution
    couplings: int
    kwargs: dict = dataclasses.field(default_factory=dict)

    @property
    def event_shape(self):
        return self.distribution.event_shape

    def log_prob(self, x):
        return self.distribution.log_prob(x, **self.kwargs)

    def sample(self, count):
        return self.distribution.sample(count, seed=[0, 1], **self.kwargs)


def small_image_bijector():
    sizes = {"num_scales": 1, "filters": 4, "num_blocks": 1}
    return nvp.RealNVPBijector((4, 4, 1), seed=0, **sizes)


def image():
    flow = nvp.RealNVPBijector((4, 4, 1), filters=4, num_blocks=1, seed=0)
    base = tfd.Independent(tfd.Normal(tf.zeros([4, 4, 1]), 1.0), 3)
    return Flow(tfd.TransformedDistribution(base, flow), 10)


def vector(wrap=lambda flow: flow, **arguments):
    flow = nvp.RealNVPBijector(
        (4,), num_couplings=4, hidden_units=(8,), seed=0, **arguments
    )
    base = tfd.MultivariateNormalDiag(tf.zeros(4), tf.ones(4))
    return Flow(tfd.TransformedDistribution(base, wrap(flow)), 4)


def in_invert_twice():
    return vector(lambda flow: tfb.Invert(tfb.Invert(flow)))


def in_fused_chain():
    return vector(lambda flow: nvp.FusedChain([nvp.PixelLogit(), flow]))


def of_labels():
    flow = vector(condition_size=3)
    kwargs = {"bijector_kwargs": {"condition": tf.constant([0, 2])}}
    return dataclasses.replace(flow, kwargs=kwargs)


def in_blockwise():
    first, second = (vector(name=name).distribution.bijector for name in "ab")
    blocks = tfb.Blockwise([first, second], block_sizes=[4, 4])
    base = tfd.MultivariateNormalDiag(tf.zeros(8), tf.ones(8))
    return Flow(tfd.TransformedDistribution(base, blocks), 8)


@pytest.fixture(
    params=[image, in_invert_twice, in_fused_chain, vector, of_labels, in_blockwise]
)
def flow(request):
    return made(request.param)


@functools.cache
def made(flow):
    return flow()


def eager(function):
    return function


def graph(function):
    return tf.function(function)


def xla(function):
    return tf.function(function, jit_compile=True)


every_mode = pytest.mark.parametrize("mode", [eager, graph, xla])


@every_mode
def test_log_prob_runs_each_network_once(mode, flow, runs):
    mode(flow.log_prob)(tf.ones([2, *flow.event_shape]))
    assert runs.numpy() == flow.couplings


@every_mode
def test_gradient_of_log_prob_runs_each_network_forward_once(mode, flow, runs):
    @mode
    def gradients(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(x))
        return tape.gradient(loss, flow.distribution.trainable_variables)

    assert all(g is not None for g in gradients(tf.ones([2, *flow.event_shape])))
    assert runs.numpy() == flow.couplings


@every_mode
def test_sample_runs_each_network_once(mode, flow, runs):
    mode(flow.sample)(2)
    assert runs.numpy() == flow.couplings


def sample_and_score(flow):
    x = flow.sample(2)
    return x, flow.log_prob(x)


def test_log_prob_of_a_sample_just_drawn_runs_no_network_again(flow, runs):
    x, log_prob = sample_and_score(flow)
    assert runs.numpy() == flow.couplings
    expected = flow.log_prob(tf.identity(x))
    tf.debugging.assert_near(log_prob, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("mode", [graph, xla])
def test_in_a_graph_log_prob_of_a_sample_just_drawn_runs_each_network_once(mode, runs):
    """Whoever differentiates by the sample may come later."""
    flow = made(vector)
    mode(functools.partial(sample_and_score, flow))()
    assert runs.numpy() == 2 * flow.couplings


@every_mode
@pytest.mark.parametrize("persistent", [False, True])
def test_log_prob_under_tapes_within_tapes_runs_each_network_once(
    mode, persistent, runs
):
    flow = made(vector)

    @mode
    def score(x):
        with tf.GradientTape(persistent=persistent), tf.GradientTape() as inner:
            inner.watch(x)
            return flow.log_prob(x)

    score(tf.ones([2, 4]))
    assert runs.numpy() == flow.couplings


@every_mode
def test_sample_and_log_prob_runs_each_network_once(mode, flow, runs):
    def sample_and_log_prob():
        return flow.distribution.experimental_sample_and_log_prob(
            2, seed=[0, 1], **flow.kwargs
        )

    mode(sample_and_log_prob)()
    assert runs.numpy() == flow.couplings


def test_a_tensor_seen_by_one_graph_can_be_scored_in_another():
    flow = small_image_bijector()
    x = tf.ones([2, 4, 4, 1])
    kept = []

    def inverse():
        kept.append(flow.inverse(x))
        return kept[-1]

    first, second = tf.function(inverse)(), tf.function(inverse)()
    tf.debugging.assert_equal(first, second)
    tf.debugging.assert_near(first, flow.inverse(x))


def test_two_tapes_one_after_the_other_both_get_gradients():
    flow = small_image_bijector()
    x, kept = tf.ones([2, 4, 4, 1]), []
    for _ in range(2):
        with tf.GradientTape() as tape:
            kept.append(flow.inverse(x))
            loss = tf.reduce_sum(kept[-1]) + tf.reduce_sum(
                flow.inverse_log_det_jacobian(x)
            )
        gradients = tape.gradient(loss, flow.trainable_variables)
        assert all(g is not None for g in gradients)


def traced_network():
    flow = nvp.RealNVPBijector((2,), num_couplings=2, hidden_units=(4,))
    tf.function(flow.inverse_log_det_jacobian)(tf.ones([3, 2]))
    return weakref.ref(flow.body.bijectors[0].network)


def test_a_traced_flow_is_forgotten_when_nobody_uses_it():
    network = traced_network()
    gc.collect()
    assert network() is None
