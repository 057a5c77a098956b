"""Gradients of flows that keep no activations, against those of flows that do."""

import dataclasses
import functools

import constructors
import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import MODES, perturb

import tfp_realnvp as nvp
from tfp_realnvp.nets.parts import structure
from tfp_realnvp.training.cost import measure_cost

tfb = tfp.bijectors
tfd = tfp.distributions

FLOWS = [
    "real_nvp_1_scale",
    "real_nvp_3_scales",
    "real_nvp_moving",
    "real_nvp_without_batch_norm",
    "real_nvp_plus",
    "real_nvp_oblong_of_labels",
    "vector",
    "vector_of_features",
    "vector_recompute",
]
DIRECTIONS = {
    "inverse_in_training": {"inverse": True, "training": True},
    "inverse": {"inverse": True, "training": False},
    "forward_in_training": {"inverse": False, "training": True},
}


def make(name, memory):
    case = constructors.make(name, "float64")
    return dataclasses.replace(case, bijector=case.bijector.copy(memory=memory))


def values_for(case):
    return constructors.latents(case, 5, dtype="float64")


def a_loss(case, value, *, inverse, training, **kwargs):
    """Returns some number that depends on all of a pass."""
    kwargs = {**case.kwargs, **kwargs, "training": training}
    name, ndims = "inverse" if inverse else "forward", len(case.latent_shape)
    output = getattr(case.bijector, name)(value, **kwargs)
    log_det = getattr(case.bijector, f"{name}_log_det_jacobian")
    weights = tf.linspace(tf.constant(0.5, value.dtype), 1.5, value.shape[0])
    terms = tf.reduce_sum(tf.sin(output) ** 2, list(range(1, ndims + 1)))
    return tf.reduce_mean(weights * (terms - log_det(value, ndims, **kwargs)))


def all_gradients(name, memory, *, mode="eager", **direction):
    """Returns the loss, every gradient, and all variables after the pass."""
    case = make(name, memory)
    sources = {"value": values_for(case)}
    if isinstance(case.kwargs.get("condition"), np.ndarray):
        sources["condition"] = tf.constant(case.kwargs["condition"])

    @MODES[mode]
    def run(sources):
        with tf.GradientTape() as tape:
            tape.watch(sources)
            loss = a_loss(case, **sources, **direction)
        variables = case.bijector.trainable_variables
        return loss, tape.gradient(loss, [*sources.values(), *variables])

    loss, gradients = run(sources)
    variables = [v.numpy() for v in case.bijector.variables]
    return loss.numpy(), [g.numpy() for g in gradients], variables


def assert_close(actual, expected, rtol):
    """Compares arrays by their norms, for an entry alone can be close to zero."""
    largest = max(np.abs(e).max() for e in expected)
    for a, e in zip(actual, expected, strict=True):
        scale = max(np.linalg.norm(e), 1e-3 * largest)
        assert np.linalg.norm(a - e) <= rtol * scale


def of_both(find):
    """Results with stored and with recomputed activations."""
    return [find(memory) for memory in ("stored", "recompute")]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", FLOWS)
def test_gradients_are_those_of_stored_activations(name, direction):
    (loss, gradients, variables), (actual, found, after) = of_both(
        lambda memory: all_gradients(name, memory, **DIRECTIONS[direction])
    )
    assert actual == loss
    assert_close(found, gradients, 1e-9)
    # Moving averages have moved once.
    for a, b in zip(after, variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("real_nvp_1_scale", "graph"),
        ("vector_of_features", "graph"),
        ("vector_of_features", "xla"),
    ],
)
def test_graph_and_xla_give_the_same_gradients_and_averages(name, mode):
    direction = DIRECTIONS["inverse_in_training"]
    expected = all_gradients(name, "stored", **direction)
    actual = all_gradients(name, "recompute", mode=mode, **direction)
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-12)
    assert_close(actual[1], expected[1], 1e-9)
    for a, e in zip(actual[2], expected[2], strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-12, atol=1e-12)


def test_what_is_not_kept_is_computed_again():
    def flops(memory):
        base = tfd.Sample(tfd.Normal(np.float64(0), 1), 5)
        bijector = make("vector_recompute", memory).bijector
        flow = tfd.TransformedDistribution(base, bijector)
        model = nvp.FlowModel(flow, seed=0)
        model.compile()
        return measure_cost(model, 100).training_flops

    stored, recomputed = of_both(flops)
    # Forward, forward again, and twice as much backward.
    assert 1.2 < recomputed / stored < 1.5


def test_gradients_of_gradients_are_those_of_stored_activations():
    def second_gradients(memory):
        case = make("vector", memory)
        value = values_for(case)
        with tf.GradientTape() as outer:
            outer.watch(value)
            with tf.GradientTape() as inner:
                inner.watch(value)
                loss = a_loss(case, value, inverse=True, training=False)
            squared = tf.reduce_sum(inner.gradient(loss, value) ** 2)
        sources = [value, *case.bijector.trainable_variables]
        found = outer.gradient(squared, sources, unconnected_gradients="zero")
        return [g.numpy() for g in found]

    stored, recomputed = of_both(second_gradients)
    assert_close(recomputed, stored, 1e-9)


def test_frozen_weights_have_the_gradients_of_stored_activations():
    def gradients(memory):
        case = make("vector_recompute", memory)
        case.bijector.body.bijectors[0].network.trainable = False
        with tf.GradientTape() as tape:
            loss = a_loss(case, values_for(case), inverse=True, training=True)
        return tape.gradient(loss, case.bijector.variables)

    stored, recomputed = of_both(gradients)
    assert [g is None for g in recomputed] == [g is None for g in stored]
    stored, recomputed = (
        [g.numpy() for g in gradients if g is not None]
        for gradients in (stored, recomputed)
    )
    assert_close(recomputed, stored, 1e-9)


def dropping_chain():
    """With a network that draws random numbers, and the same layer twice."""
    drop = keras.layers.Dropout(0.5, seed=0)
    dense = keras.layers.Dense(4, kernel_initializer="ones")
    network = nvp.ShiftAndLogScale(keras.Sequential([drop, dense]))
    coupling = nvp.AffineCoupling((4,), network, nvp.channel_mask)
    made = nvp.FusedChain([coupling, coupling.copy(name="again")])
    perturb(made)
    return made


def scaled_chain():
    network = nvp.ShiftAndLogScale(nvp.MLP(4, hidden_units=(6,), seed=0))
    coupling = nvp.AffineCoupling((4,), network, nvp.channel_mask)
    made = nvp.FusedChain([tfb.Scale(tf.Variable(2.0)), tfb.Exp(), coupling])
    perturb(made)
    return made


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("make_chain", [dropping_chain, scaled_chain])
def test_any_chain_can_recompute(make_chain, mode):
    def gradients(memory):
        made = make_chain()
        value = tf.constant(np.random.default_rng(0).normal(size=(5, 4)), tf.float32)
        kwargs = {"training": True, "recompute": memory == "recompute"}

        @MODES[mode]
        def differentiate(value):
            with tf.GradientTape() as tape:
                tape.watch(value)
                output = made.forward(value, **kwargs)
                log_det = made.forward_log_det_jacobian(value, 1, **kwargs)
                loss = tf.reduce_mean(output**2) + tf.reduce_mean(log_det**2)
            return [loss, *tape.gradient(loss, [value, *made.trainable_variables])]

        return [found.numpy() for found in differentiate(value)]

    stored, recomputed = of_both(gradients)
    assert_close(recomputed, stored, 1e-5)


def test_what_reads_variables_of_its_own_is_refused():
    rate = tf.Variable(2.0)
    transform = nvp.Elementwise(lambda p: tfb.Scale(rate * tf.exp(p[..., 0])), 1)
    bijector = nvp.RealNVPBijector((4,), transform=transform, memory="recompute")
    with pytest.raises(ValueError, match="memory: expected 'stored' for networks"):
        bijector.forward(tf.zeros([2, 4]))


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_forward_mode_is_that_of_stored_activations(mode):
    def tangent(memory):
        case = make("vector", memory)

        @MODES[mode]
        def jvp(value):
            sources = [value, *case.bijector.trainable_variables]
            tangents = [tf.ones_like(v) for v in sources]
            with tf.autodiff.ForwardAccumulator(sources, tangents) as accumulator:
                loss = a_loss(case, value, inverse=True, training=True)
            return accumulator.jvp(loss)

        return jvp(values_for(case))

    stored, recomputed = of_both(tangent)
    assert abs(stored) > 1e-3
    np.testing.assert_allclose(recomputed, stored, rtol=1e-9)


@pytest.mark.parametrize("memory", ["stored", "recompute"])
def test_hessian_vector_products_by_forward_over_backward(memory):
    case = make("vector", memory)
    value, direction = values_for(case), tf.ones([5, 5], tf.float64)

    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(value)
            loss = a_loss(case, value, inverse=True, training=False)
        return tape.gradient(loss, value)

    with tf.GradientTape() as outer:
        outer.watch(value)
        product = tf.reduce_sum(gradient() * direction)
    expected = outer.gradient(product, value)
    with tf.autodiff.ForwardAccumulator(value, direction) as accumulator:
        found = accumulator.jvp(gradient())
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_couplings_of_one_kind_are_one_function_in_a_graph():
    flow = nvp.RealNVPBijector((4,), num_couplings=8, seed=0, memory="recompute")
    value = tf.ones([5, 4])

    @tf.function
    def differentiate(value):
        with tf.GradientTape() as tape:
            tape.watch(value)
            loss = tf.reduce_sum(flow.inverse_log_det_jacobian(value, 1))
        return tape.gradient(loss, value)

    graph = differentiate.get_concrete_function(value).graph
    calls = [
        op.get_attr("f").name
        for op in graph.get_operations()
        if "f" in op.node_def.attr
    ]
    # Four masks in turn.
    assert len(calls) == 2 * 8
    assert len(set(calls)) == 2 * 4


def test_both_directions_in_one_graph_are_functions_of_their_own():
    flow = nvp.RealNVPBijector((4,), num_couplings=4, seed=0, memory="recompute")
    perturb(flow)
    value = tf.ones([5, 4])
    there_and_back = tf.function(lambda x: flow.inverse(tf.identity(flow.forward(x))))
    np.testing.assert_allclose(there_and_back(value), value, rtol=1e-4)


def coupling(network=None, mask=nvp.channel_mask, trainable=True, **sizes):
    network = network or nvp.MLP(4, **{"hidden_units": (3,), **sizes})
    network.trainable = trainable
    return nvp.AffineCoupling((4,), nvp.ShiftAndLogScale(network), mask)


@pytest.mark.parametrize(
    "other",
    [
        {"activation": "tanh"},
        {"activation": lambda x: x},
        {"residual": True},
        {"dtype": "mixed_bfloat16"},
        {"mask": functools.partial(nvp.channel_mask, invert=True)},
        {"mask": np.array([True, False, True, False])},
        {"trainable": False},
    ],
    ids=["activation", "function", "residual", "dtype", "mask", "array", "trainable"],
)
def test_couplings_that_compute_otherwise_are_not_taken_for_alike(other):
    one, same = coupling(seed=0), coupling(seed=1, name="network")
    assert one._structure() == same._structure() is not None
    assert coupling(**other)._structure() != one._structure()


class Scaled(nvp.MLP):
    """A layer whose computation depends on more than its arguments."""

    factor = 2.0

    def call(self, inputs, condition=None, training=False):
        return self.factor * super().call(inputs, condition, training)


class OwnCoupling(nvp.AffineCoupling):
    pass


def test_of_layers_and_bijectors_of_users_nobody_knows_what_they_compute():
    scaled = Scaled(4, hidden_units=(3,))
    inside = nvp.MLP(4, hidden_units=(3,))
    inside.output_layer = Scaled(4, hidden_units=(3,))
    for network in (keras.Sequential([keras.layers.Dense(4)]), scaled, inside):
        assert coupling(network)._structure() is None
    head = nvp.ShiftAndLogScale(nvp.MLP(4, hidden_units=(3,)))
    assert OwnCoupling((4,), head, nvp.channel_mask)._structure() is None


def test_a_frozen_network_is_not_taken_for_one_that_normalizes():
    frozen, normalizing = (nvp.ResNet(2, filters=2, num_blocks=1) for _ in range(2))
    for network in (frozen, normalizing):
        network.build((None, 4, 4, 2))
        network.trainable = False
    assert structure(frozen) == structure(normalizing)
    frozen.conv_in.freeze()
    assert structure(frozen) != structure(normalizing)
