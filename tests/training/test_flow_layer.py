import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfb = tfp.bijectors
tfd = tfp.distributions

X = np.random.default_rng(0).normal(size=[8, 2]).astype("float32")


def flow(seed=0, base=None, **sizes):
    return tfd.TransformedDistribution(
        base or tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1),
        nvp.RealNVPBijector(
            (2,), seed=seed, **{"num_couplings": 2, "hidden_units": (4,), **sizes}
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


def test_a_model_of_ones_own_saves_and_trains_the_flow_in_it(tmp_path):
    model, other = Scorer(0), Scorer(1)
    assert np.any(model(X) != other(X))
    assert len(model.trainable_variables) == 2 + len(flow().trainable_variables)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(model(X), other(X))
    model.compile("adam", loss=lambda _, log_prob: -log_prob, run_eagerly=True)
    model.fit(X, np.zeros(8), verbose=0)
    pairs = zip(model.get_weights(), other.get_weights(), strict=True)
    assert all(np.any(a != b) for a, b in pairs)


@pytest.mark.parametrize("other", [{"batch_norm": None}, {"num_couplings": 3}])
def test_weights_of_another_flow_are_refused(other, tmp_path):
    model = nvp.FlowModel(flow(batch_norm="batch"))
    model.save_weights(tmp_path / "model.weights.h5")
    fewer = nvp.FlowModel(flow(**{"batch_norm": "batch", "num_couplings": 2, **other}))
    with pytest.raises(ValueError, match="weights: expected those of a flow with"):
        fewer.load_weights(tmp_path / "model.weights.h5")


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


def test_elsewhere_symbolic_tensors_of_keras_are_refused_with_what_takes_them():
    made, inputs = flow(condition_size=3), keras.Input((2,))
    for call in (
        lambda: made.log_prob(inputs, bijector_kwargs={"condition": 1}),
        lambda: made.bijector.forward(inputs, condition=1),
        lambda: made.bijector.inverse(inputs, condition=1),
        lambda: made.bijector.inverse(X, condition=keras.Input((), dtype="int32")),
    ):
        with pytest.raises(TypeError, match="expected numbers, got .*FlowLayer"):
            call()


@pytest.mark.parametrize("make", [nvp.FlowLayer, nvp.FlowModel])
def test_what_is_not_one_flow_is_refused(make):
    base = tfd.Independent(tfd.Normal(tf.zeros([16, 2]), 1.0), 1)
    batch = tfd.TransformedDistribution(base, tfb.Shift([1.0, 1.0]))
    with pytest.raises(ValueError, match=r"flow: expected one .* batch_shape.*16"):
        make(batch)
    for other in (keras.Sequential(), nvp.RealNVPBijector((2,))):
        with pytest.raises(TypeError, match="flow: expected a tfd.Distribution, got"):
            make(other)


def test_the_base_is_asked_once():
    calls = []

    class Base(tfd.Normal):
        def _log_prob(self, x):
            calls.append(1)
            return super()._log_prob(x)

    base = tfd.Independent(Base(tf.zeros(2), 1.0), 1)
    model = nvp.FlowModel(flow(base=base))
    expected = model.flow.log_prob(X)
    calls.clear()
    log_prob, prior = model.log_prob_parts(X, training=True)
    assert len(calls) == 1
    np.testing.assert_array_equal(log_prob, expected)
    np.testing.assert_array_equal(prior, base.log_prob(model.flow.bijector.inverse(X)))


def mixture_of(*flows):
    logits = tf.Variable(tf.zeros(len(flows)), name="logits")
    return tfd.Mixture(tfd.Categorical(logits=logits), flows)


def test_what_a_mixture_would_not_be_told_is_refused():
    for sizes in ({"batch_norm": "batch"}, {"condition_size": 2}):
        with pytest.raises(ValueError, match="flow: expected .* inside 'Mixture'"):
            nvp.FlowModel(mixture_of(flow(), flow(**sizes)))
