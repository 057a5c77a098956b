import keras
import numpy as np
import pytest
import tensorflow as tf
from small_model import assert_same, conditional_model

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
        (None, "condition: expected the labels or vectors .* condition_size=3"),
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
        ((pairs.map(lambda x, _: x),), "expected the labels"),
        ((pairs, labels), "expected None beside a data set"),
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
