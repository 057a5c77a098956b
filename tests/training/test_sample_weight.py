import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from small_model import conditional_model

import tfp_realnvp as nvp

tfd = tfp.distributions
Dataset = tf.data.Dataset
X = np.random.default_rng(0).normal(size=[12, 2]).astype("float32")
WEIGHTS = np.random.default_rng(1).uniform(0, 3, size=12)
FORMS = {
    "arrays": lambda model: model.fit(X, sample_weight=WEIGHTS, verbose=0),
    "data set": lambda model: model.fit(
        Dataset.from_tensors((X, None, WEIGHTS)), verbose=0
    ),
    "generator": lambda model: model.fit(
        (batch for batch in [(X, None, WEIGHTS)]), verbose=0
    ),
    "dict": lambda model: model.fit({"x": X, "sample_weight": WEIGHTS}, verbose=0),
    "on batch": lambda model: model.train_on_batch(X, sample_weight=WEIGHTS),
}


def normal_model(run_eagerly=True):
    mean = tf.Variable(tf.zeros([2]), name="mean")
    model = nvp.FlowModel(tfd.Independent(tfd.Normal(mean, 1.0), 1), seed=0)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=run_eagerly)
    return model


@pytest.mark.parametrize("batch_size", [12, 5])
def test_evaluate_is_the_weighted_mean(batch_size):
    model = normal_model()
    expected = np.average(-model.flow.log_prob(X), weights=WEIGHTS)
    found = model.evaluate(X, sample_weight=WEIGHTS, batch_size=batch_size, verbose=0)
    np.testing.assert_allclose(found, [expected] * 2, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("run_eagerly", [True, False])
def test_training_descends_the_weighted_mean(form, run_eagerly):
    model = normal_model(run_eagerly)
    FORMS[form](model)
    expected = 0.1 * np.average(X, axis=0, weights=WEIGHTS)
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-5)


def test_weights_and_labels_of_validation_data_go_together():
    model, labels = conditional_model(), np.arange(12) % 3
    given = (X, labels, WEIGHTS)
    history = model.fit(
        X, labels, sample_weight=WEIGHTS, validation_data=given, verbose=0
    ).history
    expected = np.average(-model.predict(X, labels, verbose=0), weights=WEIGHTS)
    np.testing.assert_allclose(history["val_nll"][-1], expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["array", "data set"])
def test_negative_weights_are_refused(kind):
    model, given, weights = normal_model(), X, {"sample_weight": -WEIGHTS}
    if kind == "data set":
        given, weights = Dataset.from_tensors((X, None, -WEIGHTS)), {}
    message = "sample_weight: expected numbers of 0 or more"
    for method in (model.fit, model.evaluate):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            method(given, **weights, verbose=0)
    assert model.optimizer.iterations == 0


def test_weights_that_are_no_numbers_are_for_the_guard():
    with pytest.raises(FloatingPointError, match="12 .* hold NaN .* in sample_weight"):
        normal_model().fit(X, sample_weight=np.full(12, np.nan), verbose=0)


def test_a_batch_whose_weights_are_all_0_changes_nothing():
    weights, model = np.where(np.arange(12) < 6, 0.0, 1.0), normal_model()
    model.fit(X, sample_weight=weights, batch_size=6, shuffle=False, verbose=0)
    expected = 0.1 * X[6:].mean(axis=0)
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-5)
    assert model.optimizer.iterations == 1
