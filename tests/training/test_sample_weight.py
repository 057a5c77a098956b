import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfd = tfp.distributions

X = np.random.default_rng(0).normal(size=[12, 2]).astype("float32")
WEIGHTS = np.random.default_rng(1).uniform(0, 3, size=12)


def model(run_eagerly=True, **options):
    mean = tf.Variable(tf.zeros([2]), name="mean")
    flow = tfd.Independent(tfd.Normal(mean, 1.0), 1)
    made = nvp.FlowModel(flow, seed=0)
    made.compile(keras.optimizers.SGD(0.1), run_eagerly=run_eagerly, **options)
    return made


@pytest.mark.parametrize("batch_size", [12, 5])
def test_evaluate_is_the_weighted_mean(batch_size):
    made = model()
    expected = np.average(-made.flow.log_prob(X), weights=WEIGHTS)
    found = made.evaluate(
        X, sample_weight=WEIGHTS, batch_size=batch_size, verbose=0, return_dict=True
    )
    np.testing.assert_allclose(found["nll"], expected, rtol=1e-6)
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "kind", ["arrays", "data set", "generator", "dict", "on batch"]
)
@pytest.mark.parametrize("run_eagerly", [True, False])
def test_training_descends_the_weighted_mean(kind, run_eagerly):
    made = model(run_eagerly)
    if kind == "arrays":
        made.fit(X, sample_weight=WEIGHTS, batch_size=12, verbose=0)
    elif kind == "data set":
        made.fit(tf.data.Dataset.from_tensors((X, None, WEIGHTS)), verbose=0)
    elif kind == "generator":
        made.fit((batch for batch in [(X, None, WEIGHTS)]), verbose=0)
    elif kind == "dict":
        data = {"x": X, "sample_weight": WEIGHTS}
        made.fit(data, batch_size=12, verbose=0)
    else:
        made.train_on_batch(X, sample_weight=WEIGHTS)
    expected = 0.1 * np.average(X, axis=0, weights=WEIGHTS)
    np.testing.assert_allclose(made.get_weights()[0], expected, rtol=1e-5)


def test_weights_and_labels_of_validation_data_go_together():
    flow = tfd.TransformedDistribution(
        tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1),
        nvp.RealNVPBijector(
            (2,), num_couplings=2, hidden_units=(4,), condition_size=3, seed=0
        ),
    )
    made = nvp.FlowModel(flow)
    made.compile(run_eagerly=True)
    labels = np.arange(12) % 3
    history = made.fit(
        X,
        labels,
        sample_weight=WEIGHTS,
        validation_data=(X, labels, WEIGHTS),
        verbose=0,
    ).history
    log_prob = made.predict(X, labels, verbose=0)
    expected = np.average(-log_prob, weights=WEIGHTS)
    np.testing.assert_allclose(history["val_nll"][-1], expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["array", "data set"])
def test_negative_weights_are_refused(kind):
    made, message = model(), "sample_weight: expected numbers of 0 or more"
    for method in (made.fit, made.evaluate):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            if kind == "array":
                method(X, sample_weight=-WEIGHTS, verbose=0)
            else:
                method(tf.data.Dataset.from_tensors((X, None, -WEIGHTS)), verbose=0)
    assert made.optimizer.iterations == 0


def test_weights_that_are_no_numbers_are_for_the_guard():
    with pytest.raises(FloatingPointError, match="12 .* hold NaN .* in sample_weight"):
        model().fit(X, sample_weight=np.full(12, np.nan), verbose=0)


def test_a_batch_whose_weights_are_all_0_changes_nothing():
    weights = np.where(np.arange(12) < 6, 0.0, 1.0)
    made = model()
    made.fit(X, sample_weight=weights, batch_size=6, shuffle=False, verbose=0)
    np.testing.assert_allclose(
        made.get_weights()[0], 0.1 * X[6:].mean(axis=0), rtol=1e-5
    )
    assert made.optimizer.iterations == 1
