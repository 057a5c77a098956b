"""Gradients of flows that keep no activations, against those of flows that do."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import FEATURES, LABEL, perturb

import tfp_realnvp as nvp
from tfp_realnvp.bijectors.reversible_pass import ReversiblePass

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
        for memory in ("stored", "reversible")
    ]
    (loss, gradients, variables), (actual, found, after) = results
    assert actual == loss
    assert_close(found, gradients, 1e-9)
    # Moving averages have moved once.
    for a, b in zip(after, variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["image", "image_moving", "vector"])
def test_float32_gradients_differ_by_rounding(name):
    results = [
        all_gradients(name, memory, dtype="float32", inverse=True, training=True)
        for memory in ("stored", "reversible")
    ]
    assert results[0][0] == results[1][0]
    assert_close(results[1][1], results[0][1], 1e-3)


@pytest.mark.parametrize(
    ("name", "jit_compile"),
    [("image", False), ("vector_of_features", False), ("vector_of_features", True)],
)
def test_graph_and_xla_give_the_same_gradients_and_averages(name, jit_compile):
    direction = {"inverse": True, "training": True}
    expected = all_gradients(name, "stored", **direction)

    def wrap(function):
        return tf.function(function, jit_compile=jit_compile)

    actual = all_gradients(name, "reversible", wrap=wrap, **direction)
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-12)
    assert_close(actual[1], expected[1], 1e-9)
    for a, e in zip(actual[2], expected[2], strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-12, atol=1e-12)


def test_gradients_can_be_taken_of_a_function_that_was_called():
    stored, reversible = (make("vector", m) for m in ("stored", "reversible"))
    value = values_for(stored)
    found = []
    for flow, wrap in ((stored, lambda f: f), (reversible, tf.function)):
        function = wrap(lambda v, f=flow: a_loss(f, v, inverse=True, training=True))
        with tf.GradientTape() as tape:
            loss = function(value)
        found.append([g.numpy() for g in tape.gradient(loss, flow.trainable_variables)])
    assert_close(found[1], found[0], 1e-9)


@pytest.mark.parametrize("name", ["image", "vector"])
def test_bfloat16_networks_have_gradients_within_their_own_accuracy(name):
    found = []
    for memory in ("stored", "reversible"):
        flow = make(name, memory, "float32", network_dtype="mixed_bfloat16")
        with tf.GradientTape() as tape:
            loss = a_loss(flow, values_for(flow, 16), inverse=True, training=True)
        found.append(tape.gradient(loss, flow.trainable_variables))
    stored, reversible = (np.concatenate([np.ravel(g) for g in gs]) for gs in found)
    assert np.linalg.norm(reversible - stored) < 0.02 * np.linalg.norm(stored)


def test_gradients_of_gradients_are_those_of_stored_activations():
    found = []
    for memory in ("stored", "reversible"):
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


def test_jacobians_are_those_of_stored_activations():
    found = []
    for memory in ("stored", "reversible"):
        flow = make("vector", memory)
        value = values_for(flow)
        with tf.GradientTape() as tape:
            tape.watch(value)
            output = flow.forward(value)
        found.append(tape.batch_jacobian(output, value))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9)


def test_gradients_can_be_taken_twice():
    flow = make("vector_batch_norm", "reversible")
    value = values_for(flow)
    with tf.GradientTape(persistent=True) as tape:
        loss = a_loss(flow, value, inverse=True, training=True)
    first, second = (tape.gradient(loss, flow.trainable_variables) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_frozen_weights_have_no_gradient():
    flow = make("vector", "reversible")
    flow.body.bijectors[0].network.trainable = False
    num_frozen = len(flow.body.bijectors[0].network.weights)
    value = values_for(flow)
    with tf.GradientTape() as tape:
        loss = a_loss(flow, value, inverse=True, training=True)
    gradients = tape.gradient(loss, flow.variables)
    assert sum(g is None for g in gradients) == num_frozen > 0


def chain(*between):
    network = nvp.ShiftAndLogScale(
        nvp.MLP(4, hidden_units=(6,), seed=0, dtype="float64"), dtype="float64"
    )
    coupling = nvp.AffineCoupling((4,), network, nvp.channel_mask)
    made = nvp.FusedChain([*between, coupling, tfb.Softplus()])
    perturb(made)
    return made, coupling


@pytest.mark.parametrize("inverse", [False, True])
def test_other_bijectors_may_be_in_between(inverse):
    made, _ = chain(tfb.Scale(tf.constant(2.0, tf.float64)), tfb.Exp())
    value = values_for(make("vector", "stored"))
    if inverse:
        # A copy, for TFP's caches know what this came from.
        value = tf.identity(made.forward(value))
    found = []
    reversible = ReversiblePass(made)
    for run in (
        made._inverse_and_log_det if inverse else made._forward_and_log_det,
        lambda value: reversible(value, inverse=inverse),
    ):
        with tf.GradientTape() as tape:
            tape.watch(value)
            output, log_det = run(value)
            loss = tf.reduce_sum(output**2) + tf.reduce_sum(log_det**2)
        found.append(
            [g.numpy() for g in tape.gradient(loss, [value, *made.trainable_variables])]
        )
    assert_close(found[1], found[0], 1e-9)


def test_variables_that_are_no_layers_are_refused():
    made, _ = chain(tfb.Scale(tf.Variable(2.0, dtype=tf.float64, name="factor")))
    with pytest.raises(ValueError, match='memory: expected "stored" .* factor'):
        ReversiblePass(made)


def test_shared_layers_are_refused():
    _, coupling = chain()
    twice = nvp.FusedChain([coupling, coupling.copy(name="again")])
    with pytest.raises(ValueError, match='memory: expected "stored" .* shared layers'):
        ReversiblePass(twice)
