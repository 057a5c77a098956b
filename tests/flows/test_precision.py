"""Flows whose networks compute in bfloat16."""

import dataclasses

import constructors
import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import latents

import tfp_realnvp as nvp

tfd = tfp.distributions

FLOWS = ["real_nvp_1_scale", "real_nvp_moving", "vector_residual", "vector_of_features"]

every_flow = pytest.mark.parametrize("name", FLOWS)


def make(name, network_dtype="mixed_bfloat16"):
    """Returns the named flow, with the same random weights in every precision."""
    case = constructors.make(name)
    bijector = case.bijector.copy(network_dtype=network_dtype)
    constructors.perturb(bijector)
    return dataclasses.replace(case, bijector=bijector)


def networks(bijector):
    return [m.network for m in bijector.submodules if isinstance(m, nvp.AffineCoupling)]


def negative_log_prob(case, y, training=False):
    ndims = len(case.latent_shape)
    z = case.bijector.inverse(y, training=training, **case.kwargs)
    log_det = case.bijector.inverse_log_det_jacobian(
        y, ndims, training=training, **case.kwargs
    )
    axes = list(range(1, ndims + 1))
    return tf.reduce_sum(tf.square(z), axes) / 2 - log_det


@every_flow
def test_networks_alone_compute_in_bfloat16_and_it_inverts_almost_as_float32(name):
    case = make(name)
    assert {v.dtype for v in case.bijector.variables} == {tf.float32}
    heads = networks(case.bijector)
    assert heads
    for head in heads:
        assert head.compute_dtype == head.network.variable_dtype == "float32"
        inner = head.network._flatten_layers()
        assert {layer.compute_dtype for layer in inner} == {"bfloat16"}
    y = latents(case, 64)
    # Copies are other tensors, so no cache can answer for the bijector.
    error = np.abs(case.forward(tf.identity(case.inverse(y))) - y)
    # Where rounding to float32 moves an entry to another bfloat16 number, and there
    # alone, what depends on it is another.
    assert np.mean(error < 1e-4) > 0.98
    assert error.max() < 0.05


@every_flow
@pytest.mark.parametrize("training", [False, True])
def test_densities_and_gradients_are_those_of_float32_within_bfloat16(name, training):
    values, gradients = [], []
    for network_dtype in (None, "mixed_bfloat16"):
        case = make(name, network_dtype)
        y = latents(case, 32)
        with tf.GradientTape() as tape:
            nll = negative_log_prob(case, y, training)
            loss = tf.reduce_mean(nll)
        variables = case.bijector.trainable_variables
        found = tape.gradient(loss, variables)
        assert all(g is not None and g.dtype == tf.float32 for g in found)
        assert all(np.any(g) for g in found)
        values.append(nll.numpy())
        gradients.append(np.concatenate([np.ravel(g) for g in found]))
        moments = [v for v in case.bijector.variables if "moving" in v.name]
        values.append(np.concatenate([np.ravel(m) for m in moments] or [[0.0]]))
    assert not np.array_equal(values[0], values[2])
    size = np.prod(case.latent_shape)
    np.testing.assert_allclose(values[2], values[0], rtol=0.02, atol=0.005 * size)
    np.testing.assert_allclose(values[3], values[1], rtol=0.05, atol=0.02)
    error = np.linalg.norm(gradients[1] - gradients[0])
    assert error < 0.1 * np.linalg.norm(gradients[0])


def test_a_model_trains_and_comes_back_from_its_file(tmp_path):
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 4)
    bijector = make("vector_residual").bijector
    model = nvp.FlowModel(tfd.TransformedDistribution(base, bijector), seed=0)
    model.compile(keras.optimizers.Adam(1e-2))
    x = np.random.default_rng(0).normal(3.0, size=(64, 4)).astype("float32")
    history = model.fit(x, epochs=10, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        again.predict(x, verbose=0), model.predict(x, verbose=0)
    )
    assert {h.network.compute_dtype for h in networks(again.flow)} == {"bfloat16"}
    assert again.flow.bijector.parameters["network_dtype"] == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda dtype: nvp.WeightNormConv2D(4, 1, dtype=dtype), [64, 8, 8, 2]),
        (lambda dtype: nvp.MLP(4, hidden_units=(4,), dtype=dtype), [4096, 2]),
    ],
    ids=["conv", "dense"],
)
def test_the_gradient_of_a_bias_sums_up_in_more_than_bfloat16(layer, shape):
    weights = tf.random.stateless_normal([*shape[:-1], 4], [0, 0], mean=1.0)
    gradients = []
    for dtype in ("float32", "mixed_bfloat16"):
        made = layer(dtype)
        made.build((None, *shape[1:]))
        bias = getattr(made, "output_layer", made).bias
        with tf.GradientTape() as tape:
            outputs = tf.cast(made(tf.ones(shape)), tf.float32)
            loss = tf.reduce_sum(outputs * weights)
        gradients.append(tape.gradient(loss, bias.value))
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=0.01)


def test_a_mixed_policy_of_keras_is_followed_where_none_is_given():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        followed = nvp.RealNVPBijector((2,), hidden_units=(4,))
        given = nvp.RealNVPBijector((2,), hidden_units=(4,), network_dtype="float32")
        double = nvp.RealNVPBijector((2,), hidden_units=(4,), dtype=tf.float64)
        keras.config.set_dtype_policy("mixed_float16")
        with pytest.raises(ValueError, match="network_dtype: .* got 'mixed_float16'"):
            nvp.RealNVPBijector((2,))
    finally:
        keras.config.set_dtype_policy("float32")
    assert {n.network.compute_dtype for n in networks(followed)} == {"bfloat16"}
    assert {n.network.compute_dtype for n in networks(given)} == {"float32"}
    assert {n.network.compute_dtype for n in networks(double)} == {"float64"}
    # Also where it is made again under another policy.
    assert followed.parameters["network_dtype"] == "mixed_bfloat16"
