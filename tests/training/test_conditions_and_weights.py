import keras
import numpy as np
import pytest
import tensorflow as tf
from small_model import assert_same, conditional_model, normal_model

Dataset = tf.data.Dataset
CENTRES = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])


def data(count=600):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count)
    x = CENTRES[labels] + rng.normal(scale=0.3, size=(count, 2))
    return x.astype("float32"), labels


def test_a_conditional_flow_learns_which_label_is_where():
    x, labels = data()
    model = conditional_model(run_eagerly=False, num_couplings=4, hidden_units=(16,))
    model.compile(keras.optimizers.Adam(5e-3))
    history = model.fit(
        x, labels, epochs=25, validation_data=(x, labels), verbose=0
    ).history
    assert set(history) == {"loss", "nll", "val_loss", "val_nll"}
    # The entropy of each cluster is 2 * (log(0.3) + 1.419) = 0.43 nats.
    assert history["val_nll"][-1] < 1.5
    for label, centre in enumerate(CENTRES):
        of_label = {"bijector_kwargs": {"condition": label}}
        samples = model.flow.sample(500, seed=(0, 1), **of_label)
        np.testing.assert_allclose(np.mean(samples, axis=0), centre, atol=0.5)
    by_label = model.flow.log_prob(
        x[:, None], bijector_kwargs={"condition": tf.range(3)}
    )
    assert np.mean(np.argmax(by_label, axis=1) == labels) > 0.95


def test_arrays_data_sets_and_vectors_are_the_same_to_it():
    x, labels = data(64)
    one_hot = np.eye(3, dtype="float32")[labels]
    found = []
    for given in (
        (x, labels),
        (Dataset.from_tensor_slices((x, labels)).batch(16),),
        (x, one_hot),
    ):
        model = conditional_model()
        size = 16 if len(given) > 1 else None
        model.fit(*given, batch_size=size, shuffle=False, verbose=0)
        found.append(model.predict(*given, verbose=0))
    assert found[0].shape == (64,)
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (None, "condition: expected labels or vectors .* condition_size=3"),
        (np.full(64, 3), r"condition: expected labels in \[0, 3\), got .* 3 to 3"),
        (np.zeros(64), r"got float64 of shape \(64,\)"),
        (np.full([64, 3], np.nan), "condition: expected finite numbers"),
        (np.zeros([64, 3], int), r"got int64 of shape \(64, 3\)"),
    ],
)
def test_bad_conditions_are_refused_before_any_training(condition, message):
    model, (x, labels) = conditional_model(), data(64)
    for method in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match=message):
            method(x, condition, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.fit(x, labels, validation_data=(x, condition), verbose=0)
    assert model.optimizer.iterations == 0


def test_bad_data_sets_of_pairs_are_refused_before_any_training():
    x, labels = data(64)
    pairs = Dataset.from_tensor_slices((x, labels)).batch(16)
    as_floats = pairs.map(lambda x, label: (x, tf.cast(label, tf.float32)))
    for given, message in (
        ((pairs.map(lambda x, _: x),), "expected labels"),
        ((pairs, labels), "expected None with a data set"),
        ((as_floats,), "expected integer labels"),
    ):
        with pytest.raises(ValueError, match=f"condition: {message}"):
            conditional_model().fit(*given)
    unconditional = conditional_model(condition_size=None)
    for given in ((pairs,), (x, labels), ((pair for pair in [(x, labels)]),)):
        with pytest.raises(ValueError, match="condition: expected None"):
            unconditional.fit(*given)
    with pytest.raises(ValueError, match="condition: expected None"):
        unconditional(tf.zeros([2, 2]), condition=tf.constant([0, 1]))


@pytest.mark.parametrize(("label", "run_eagerly"), [(7, 1), (3, 0), (-1, 1), (-1, 0)])
def test_labels_outside_of_the_classes_are_refused_in_data_sets(label, run_eagerly):
    model = conditional_model(run_eagerly=bool(run_eagerly))
    before = model.get_weights()
    pairs = Dataset.from_tensors((data(12)[0], np.full(12, label)))
    for method in (model.fit, model.evaluate, model.predict):
        with pytest.raises(Exception, match=r"condition: expected .*\[0, 3\)"):
            method(pairs, verbose=0)
    assert_same(model.get_weights(), before)


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


@pytest.mark.parametrize("batch_size", [12, 5])
def test_evaluate_is_the_weighted_mean(batch_size):
    model = normal_model()
    expected = np.average(-model.flow.log_prob(X), weights=WEIGHTS)
    found = model.evaluate(X, sample_weight=WEIGHTS, batch_size=batch_size, verbose=0)
    np.testing.assert_allclose(found, [expected] * 2, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("run_eagerly", [True, False])
def test_training_descends_the_weighted_mean(form, run_eagerly):
    model = normal_model(run_eagerly=run_eagerly)
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
