import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfb = tfp.bijectors
tfd = tfp.distributions

X = np.random.default_rng(0).normal(size=[8, 2]).astype("float32")


def flow(seed=0, **sizes):
    return tfd.TransformedDistribution(
        tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1),
        nvp.RealNVPBijector(
            (2,), num_couplings=2, hidden_units=(4,), seed=seed, **sizes
        ),
    )


class Scorer(keras.Model):
    """A model of a user's own, part of which is a flow."""

    def __init__(self, seed=0):
        super().__init__()
        self.scale = keras.layers.Dense(2)
        self.density = nvp.FlowLayer(flow(seed))

    def call(self, x, training=False):
        return self.density(self.scale(x), training=training)


def test_a_model_of_ones_own_has_the_weights_of_the_flow_in_it(tmp_path):
    model, other = Scorer(0), Scorer(1)
    for made in (model, other):
        made(X)
    inside = len(flow().trainable_variables)
    assert len(model.trainable_variables) == 2 + inside
    assert np.any(model(X) != other(X))
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(model(X), other(X))


def test_a_model_of_ones_own_trains_the_flow_in_it():
    model = Scorer()
    model.compile("adam", loss=lambda _, log_prob: -log_prob, run_eagerly=True)
    model(X)
    before = model.get_weights()
    model.fit(X, np.zeros(8), verbose=0)
    moved = [np.any(a != b) for a, b in zip(model.get_weights(), before, strict=True)]
    assert all(moved)


def test_a_layer_takes_the_symbolic_tensors_of_keras():
    inputs, labels = keras.Input((2,)), keras.Input((), dtype="int32")
    layer = nvp.FlowLayer(flow(condition_size=3))
    model = keras.Model([inputs, labels], layer(inputs, condition=labels))
    assert model.output_shape == (None,)
    numbers = np.arange(8) % 3
    expected = layer.flow.log_prob(X, bijector_kwargs={"condition": numbers})
    np.testing.assert_allclose(model([X, numbers]), expected, rtol=1e-5)
    copy = keras.Model.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    np.testing.assert_allclose(copy([X, numbers]), expected, rtol=1e-5)


@pytest.mark.parametrize("method", ["log_prob", "forward", "inverse", "condition"])
def test_elsewhere_symbolic_tensors_of_keras_are_refused_with_what_takes_them(method):
    made, inputs = flow(condition_size=3), keras.Input((2,))
    given = {
        "condition": keras.Input((), dtype="int32") if method == "condition" else 1
    }
    with pytest.raises(TypeError, match="expected numbers, got .*FlowLayer"):
        if method == "condition":
            made.log_prob(X, bijector_kwargs=given)
        elif method == "log_prob":
            made.log_prob(inputs, bijector_kwargs=given)
        else:
            getattr(made.bijector, method)(inputs, **given)


@pytest.mark.parametrize("make", ["FlowLayer", "FlowModel"])
def test_a_batch_of_flows_is_refused(make):
    base = tfd.Independent(tfd.Normal(tf.zeros([16, 2]), 1.0), 1)
    batch = tfd.TransformedDistribution(base, tfb.Shift([1.0, 1.0]))
    with pytest.raises(ValueError, match=r"flow: expected one .* batch_shape.*16"):
        getattr(nvp, make)(batch)
    for other in (keras.Sequential(), nvp.RealNVPBijector((2,))):
        with pytest.raises(TypeError, match="flow: expected a tfd.Distribution, got"):
            getattr(nvp, make)(other)


def test_the_base_is_asked_once():
    calls = []

    class Base(tfd.Normal):
        def _log_prob(self, x):
            calls.append(1)
            return super()._log_prob(x)

    made = flow()
    base = tfd.Independent(Base(tf.zeros(2), 1.0), 1)
    model = nvp.FlowModel(tfd.TransformedDistribution(base, made.bijector))
    expected = model.flow.log_prob(X)
    calls.clear()
    log_prob, prior = model.log_prob_parts(X, training=True)
    assert len(calls) == 1
    np.testing.assert_array_equal(log_prob, expected)
    np.testing.assert_array_equal(
        prior, base.log_prob(made.bijector.inverse(tf.constant(X)))
    )


def member(**sizes):
    return tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2)),
        nvp.RealNVPBijector((2,), num_couplings=2, hidden_units=(8,), **sizes),
    )


def mixture_of(*flows):
    logits = tf.Variable(tf.zeros(len(flows)), name="logits")
    return tfd.Mixture(tfd.Categorical(logits=logits), flows)


def test_a_mixture_of_two_flows_trains_with_its_weights():
    rng = np.random.default_rng(0)
    side = rng.choice([-3.0, 3.0], p=[0.2, 0.8], size=400)
    x = rng.normal(scale=0.5, size=(400, 2)) + side[:, None]
    mixture = mixture_of(member(seed=0), member(seed=1))
    model = nvp.FlowModel(mixture)
    model.compile("adam")
    untrained = model.evaluate(x, verbose=0, return_dict=True)["nll"]
    model.fit(x, epochs=5, verbose=0)
    assert model.evaluate(x, verbose=0, return_dict=True)["nll"] < untrained - 0.5
    assert np.any(mixture.cat.logits.numpy() != 0)
    assert mixture.sample(5, seed=(0, 1)).shape == (5, 2)


def test_what_a_mixture_would_not_be_told_is_refused():
    for sizes in ({"batch_norm": "batch"}, {"condition_size": 2}):
        with pytest.raises(ValueError, match="flow: expected .* inside 'Mixture'"):
            nvp.FlowModel(mixture_of(member(), member(**sizes)))
