"""Counts how often the networks run."""

import dataclasses
import functools
import gc
import weakref

import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import MODES

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
    """A distribution, its number of networks, and the arguments it needs."""

    distribution: tfd.Distribution
    couplings: int
    kwargs: dict = dataclasses.field(default_factory=dict)

    def ones(self):
        return tf.ones([2, *self.distribution.event_shape])

    def log_prob(self, x):
        return self.distribution.log_prob(x, **self.kwargs)

    def sample(self):
        return self.distribution.sample(2, seed=[0, 1], **self.kwargs)

    def sample_and_log_prob(self):
        draw = self.distribution.experimental_sample_and_log_prob
        return draw(2, seed=[0, 1], **self.kwargs)

    def sample_then_log_prob(self):
        x = self.sample()
        return x, self.log_prob(x)


def image_bijector(**sizes):
    return nvp.RealNVPBijector((4, 4, 1), filters=4, num_blocks=1, seed=0, **sizes)


def image():
    base = tfd.Independent(tfd.Normal(tf.zeros([4, 4, 1]), 1.0), 3)
    return Flow(tfd.TransformedDistribution(base, image_bijector()), 10)


def vector(wrap=lambda flow: flow, size=4, couplings=4, **arguments):
    sizes = {"num_couplings": 4, "hidden_units": (8,), "seed": 0}
    flow = wrap(nvp.RealNVPBijector((4,), **sizes, **arguments))
    base = tfd.MultivariateNormalDiag(tf.zeros(size), tf.ones(size))
    return Flow(tfd.TransformedDistribution(base, flow), couplings)


def in_invert_twice():
    return vector(lambda flow: tfb.Invert(tfb.Invert(flow)))


def in_fused_chain():
    return vector(lambda flow: nvp.FusedChain([nvp.PixelLogit(), flow]))


def of_labels():
    kwargs = {"bijector_kwargs": {"condition": tf.constant([0, 2])}}
    return dataclasses.replace(vector(condition_size=3), kwargs=kwargs)


def in_blockwise():
    def blocks(flow):
        return tfb.Blockwise([flow, flow.copy(name="other")], block_sizes=[4, 4])

    return vector(blocks, size=8, couplings=8)


made = functools.cache(lambda make: make())
every_flow = pytest.mark.parametrize(
    "make", [image, in_invert_twice, in_fused_chain, vector, of_labels, in_blockwise]
)
every_mode = pytest.mark.parametrize("mode", MODES)


def log_prob(flow):
    return flow.log_prob(flow.ones())


def gradient(flow):
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(log_prob(flow))
    gradients = tape.gradient(loss, flow.distribution.trainable_variables)
    assert all(g is not None for g in gradients)
    return gradients


def under_tapes(flow, persistent=False):
    x = flow.ones()
    with tf.GradientTape(persistent=persistent), tf.GradientTape() as inner:
        inner.watch(x)
        return flow.log_prob(x)


@every_mode
@pytest.mark.parametrize(
    "call",
    [
        log_prob,
        gradient,
        under_tapes,
        functools.partial(under_tapes, persistent=True),
        Flow.sample,
        Flow.sample_and_log_prob,
    ],
    ids=lambda call: getattr(call, "__name__", "under_persistent_tapes"),
)
@every_flow
def test_each_network_runs_once(make, call, mode, runs):
    flow = made(make)
    MODES[mode](functools.partial(call, flow))()
    assert runs.numpy() == flow.couplings


@every_flow
def test_log_prob_of_a_sample_just_drawn_runs_no_network_again(make, runs):
    flow = made(make)
    x, found = flow.sample_then_log_prob()
    assert runs.numpy() == flow.couplings
    expected = flow.log_prob(tf.identity(x))
    tf.debugging.assert_near(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_in_a_graph_log_prob_of_a_sample_just_drawn_runs_each_network_once(mode, runs):
    """A gradient with respect to the sample may be asked for later."""
    flow = made(vector)
    MODES[mode](flow.sample_then_log_prob)()
    assert runs.numpy() == 2 * flow.couplings


def test_a_tensor_seen_by_one_graph_can_be_scored_in_another():
    flow, x, kept = image_bijector(num_scales=1), tf.ones([2, 4, 4, 1]), []

    def inverse():
        kept.append(flow.inverse(x))
        return kept[-1]

    first, second = tf.function(inverse)(), tf.function(inverse)()
    tf.debugging.assert_equal(first, second)
    tf.debugging.assert_near(first, flow.inverse(x))


def traced_network():
    flow = nvp.RealNVPBijector((2,), num_couplings=2, hidden_units=(4,))
    tf.function(flow.inverse_log_det_jacobian)(tf.ones([3, 2]))
    return weakref.ref(flow.body.bijectors[0].network)


def test_a_traced_flow_is_forgotten_when_nobody_uses_it():
    network = traced_network()
    gc.collect()
    assert network() is None
