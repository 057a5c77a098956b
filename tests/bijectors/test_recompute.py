"""Gradients of flows that keep no activations, against those of flows that do."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import FEATURES, LABEL, perturb

import tfp_realnvp as nvp
from tfp_realnvp.nets.parts import structure

tfb = tfp.bijectors

IMAGE = {"event_shape": (4, 4, 2), "filters": 3, "num_blocks": 1}
ONE_SCALE = {**IMAGE, "num_scales": 1}
VECTOR = {"event_shape": (4,), "num_couplings": 4, "hidden_units": (6,)}
FLOWS = {
    "image": (IMAGE, {}),
    "image_of_3_scales": ({**IMAGE, "event_shape": (8, 4, 1), "num_scales": 3}, {}),
    "image_moving": ({**ONE_SCALE, "batch_norm": "moving"}, {}),
    "image_without_batch_norm": ({**ONE_SCALE, "batch_norm": None}, {}),
    "image_plus": ({**ONE_SCALE, "invertible_conv": True, "crelu": False}, {}),
    "image_of_labels": ({**ONE_SCALE, "condition_size": 3}, LABEL),
    "vector": (VECTOR, {}),
    "vector_of_features": (
        {**VECTOR, "condition_size": 3, "batch_norm": "moving"},
        FEATURES,
    ),
    "vector_batch_norm": ({**VECTOR, "batch_norm": "batch"}, {}),
}
DIRECTIONS = {
    "inverse_in_training": {"inverse": True, "training": True},
    "inverse": {"inverse": True, "training": False},
    "forward_in_training": {"inverse": False, "training": True},
}


def make(name, memory, dtype="float64", **kwargs):
    flow = nvp.RealNVPBijector(
        **FLOWS[name][0], seed=0, dtype=dtype, memory=memory, **kwargs
    )
    perturb(flow)
    return flow


def values_for(flow, count=5, seed=1):
    values = np.random.default_rng(seed).normal(size=(count, *flow.event_shape))
    return tf.constant(values, flow.dtype)


def a_loss(flow, value, condition=None, *, inverse, training):
    """Returns some number that depends on all of a pass."""
    kwargs = {"training": training}
    if condition is not None:
        kwargs["condition"] = condition
    run = flow.inverse if inverse else flow.forward
    log_det = (
        flow.inverse_log_det_jacobian if inverse else flow.forward_log_det_jacobian
    )
    ndims = len(flow.event_shape)
    output = run(value, **kwargs)
    weights = tf.linspace(tf.constant(0.5, flow.dtype), 1.5, value.shape[0])
    terms = tf.reduce_sum(tf.sin(output) ** 2, list(range(1, ndims + 1)))
    return tf.reduce_mean(weights * (terms - log_det(value, ndims, **kwargs)))


def all_gradients(name, memory, *, dtype="float64", wrap=lambda f: f, **direction):
    """Returns the loss, every gradient, and all variables after the pass."""
    flow = make(name, memory, dtype)
    value = values_for(flow)
    condition = FLOWS[name][1].get("condition")
    sources = [value]
    if isinstance(condition, np.ndarray):
        condition = tf.constant(condition, dtype)
        sources.append(condition)

    def run(*sources):
        with tf.GradientTape() as tape:
            tape.watch(sources)
            given = sources[1] if len(sources) > 1 else condition
            loss = a_loss(flow, sources[0], given, **direction)
        return loss, tape.gradient(loss, [*sources, *flow.trainable_variables])

    loss, gradients = wrap(run)(*sources)
    assert all(g is not None for g in gradients)
    return (
        loss.numpy(),
        [g.numpy() for g in gradients],
        [v.numpy() for v in flow.variables],
    )


def assert_close(actual, expected, rtol):
    """Compares arrays by their norms, for an entry alone can be close to zero."""
    largest = max(np.abs(e).max() for e in expected)
    for a, e in zip(actual, expected, strict=True):
        scale = max(np.linalg.norm(e), 1e-3 * largest)
        assert np.linalg.norm(a - e) <= rtol * scale


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", FLOWS)
def test_gradients_are_those_of_stored_activations(name, direction):
    results = [
        all_gradients(name, memory, **DIRECTIONS[direction])
        for memory in ("stored", "recompute")
    ]
    (loss, gradients, variables), (actual, found, after) = results
    assert actual == loss
    assert_close(found, gradients, 1e-9)
    # Moving averages have moved once.
    for a, b in zip(after, variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "jit_compile"),
    [("image", False), ("vector_of_features", False), ("vector_of_features", True)],
)
def test_graph_and_xla_give_the_same_gradients_and_averages(name, jit_compile):
    direction = {"inverse": True, "training": True}
    expected = all_gradients(name, "stored", **direction)

    def wrap(function):
        return tf.function(function, jit_compile=jit_compile)

    actual = all_gradients(name, "recompute", wrap=wrap, **direction)
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-12)
    assert_close(actual[1], expected[1], 1e-9)
    for a, e in zip(actual[2], expected[2], strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-12, atol=1e-12)


def test_gradients_of_gradients_are_those_of_stored_activations():
    found = []
    for memory in ("stored", "recompute"):
        flow = make("vector", memory)
        value = values_for(flow)
        with tf.GradientTape() as outer:
            outer.watch(value)
            with tf.GradientTape() as inner:
                inner.watch(value)
                loss = a_loss(flow, value, inverse=True, training=False)
            squared = tf.reduce_sum(inner.gradient(loss, value) ** 2)
        sources = [value, *flow.trainable_variables]
        found.append(
            [
                g.numpy()
                for g in outer.gradient(squared, sources, unconnected_gradients="zero")
            ]
        )
    assert_close(found[1], found[0], 1e-9)


def test_frozen_weights_have_the_gradients_of_stored_activations():
    found = []
    for memory in ("stored", "recompute"):
        flow = make("vector_batch_norm", memory)
        flow.body.bijectors[0].network.trainable = False
        with tf.GradientTape() as tape:
            loss = a_loss(flow, values_for(flow), inverse=True, training=True)
        found.append(tape.gradient(loss, flow.variables))
    assert [g is None for g in found[1]] == [g is None for g in found[0]]
    given = [[g.numpy() for g in gs if g is not None] for gs in found]
    assert_close(given[1], given[0], 1e-9)


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


@pytest.mark.parametrize("mode", [lambda f: f, tf.function])
@pytest.mark.parametrize("make_chain", [dropping_chain, scaled_chain])
def test_any_chain_can_recompute(make_chain, mode):
    found = []
    for recompute in (False, True):
        made = make_chain()
        value = tf.constant(np.random.default_rng(0).normal(size=(5, 4)), tf.float32)
        variables = made.trainable_variables

        @mode
        def differentiate(value, made=made, variables=variables, recompute=recompute):
            kwargs = {"training": True, "recompute": recompute}
            with tf.GradientTape() as tape:
                tape.watch(value)
                output = made.forward(value, **kwargs)
                log_det = made.forward_log_det_jacobian(value, 1, **kwargs)
                loss = tf.reduce_mean(output**2) + tf.reduce_mean(log_det**2)
            return loss, tape.gradient(loss, [value, *variables])

        loss, gradients = differentiate(value)
        found.append([loss.numpy(), *(g.numpy() for g in gradients)])
    assert_close(found[1], found[0], 1e-5)


@pytest.mark.parametrize("mode", [lambda f: f, tf.function])
def test_forward_mode_is_that_of_stored_activations(mode):
    found = []
    for memory in ("stored", "recompute"):
        flow = make("vector", memory)
        value = values_for(flow)

        @mode
        def jvp(value, flow=flow):
            variables = flow.trainable_variables
            tangents = [tf.ones_like(v) for v in (value, *variables)]
            with tf.autodiff.ForwardAccumulator([value, *variables], tangents) as acc:
                loss = a_loss(flow, value, inverse=True, training=True)
            return acc.jvp(loss)

        found.append(jvp(value))
    assert abs(found[0]) > 1e-3
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9)


@pytest.mark.parametrize("memory", ["stored", "recompute"])
def test_hessian_vector_products_by_forward_over_backward(memory):
    flow = make("vector", memory)
    value, direction = values_for(flow), tf.ones([5, 4], tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(value)
        with tf.GradientTape() as inner:
            inner.watch(value)
            loss = a_loss(flow, value, inverse=True, training=False)
        product = tf.reduce_sum(inner.gradient(loss, value) * direction)
    expected = outer.gradient(product, value)
    with tf.autodiff.ForwardAccumulator(value, direction) as accumulator:
        with tf.GradientTape() as tape:
            tape.watch(value)
            loss = a_loss(flow, value, inverse=True, training=False)
        gradient = tape.gradient(loss, value)
    np.testing.assert_allclose(accumulator.jvp(gradient), expected, rtol=1e-8)


def test_couplings_of_one_kind_are_one_function_in_a_graph():
    flow = nvp.RealNVPBijector((4,), num_couplings=8, seed=0, memory="recompute")
    value = values_for(flow)

    @tf.function
    def differentiate(value):
        with tf.GradientTape() as tape:
            tape.watch(value)
            loss = a_loss(flow, value, inverse=True, training=False)
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
    ids=str,
)
def test_couplings_that_compute_otherwise_are_not_taken_for_alike(other):
    one, same = coupling(seed=0), coupling(seed=1, name="network")
    assert one._structure() == same._structure() is not None
    assert coupling(**other)._structure() != one._structure()


def test_of_layers_of_others_nobody_knows_what_they_compute():
    network = keras.Sequential([keras.layers.Dense(4)])
    assert coupling(network)._structure() is None


def test_a_frozen_convolution_is_not_taken_for_one_that_normalizes():
    frozen, normalizing = nvp.WeightNormConv2D(2), nvp.WeightNormConv2D(2)
    for layer in (frozen, normalizing):
        layer.build((None, 4, 4, 2))
        layer.trainable = False
    assert structure(frozen) == structure(normalizing)
    frozen.freeze()
    assert structure(frozen) != structure(normalizing)
