"""What `fit`, `evaluate` and `predict` take, and what they make of it."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from small_model import (
    assert_same,
    conditional_model,
    image_model,
    normal_model,
    variables_of,
)

import tfp_realnvp as nvp

tfd = tfp.distributions
Dataset = tf.data.Dataset
X = np.random.default_rng(0).normal(size=[12, 2])
X32 = X.astype("float32")
LABELS = np.arange(12) % 3


class Batches(keras.utils.PyDataset):
    def __init__(self, element):
        super().__init__()
        self.element = element

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.element


def generator(element):
    yield element


KINDS = {
    "data set": Dataset.from_tensors,
    "generator": generator,
    "PyDataset": Batches,
}


@pytest.mark.parametrize("dtype", ["float16", "float64", "uint8", "int64"])
@pytest.mark.parametrize("kind", ["array", *KINDS, "on batch"])
def test_examples_of_any_dtype_are_cast_to_that_of_the_flow(kind, dtype):
    x = np.round(np.abs(4 * X)).astype(dtype)
    expected, model = normal_model(), normal_model()
    expected.fit(x.astype("float32"), verbose=0)
    log_prob = expected.flow.log_prob(x.astype("float32"))
    if kind == "on batch":
        model.train_on_batch(x)
        found, nll = model.predict_on_batch(x), model.test_on_batch(x)[1]
    else:
        data = x if kind == "array" else (x,)
        make = KINDS.get(kind, np.asarray)
        model.fit(make(data), verbose=0)
        found = model.predict(make(data), verbose=0)
        nll = model.evaluate(make(data), verbose=0)[1]
    assert_same(model.get_weights(), expected.get_weights())
    np.testing.assert_array_equal(found, log_prob)
    np.testing.assert_allclose(nll, -np.mean(log_prob), rtol=1e-6)


def test_a_float64_flow_sees_every_digit_of_arrays():
    model, x = normal_model("float64"), X + 1e-12
    expected = model.flow.log_prob(x).numpy()
    assert np.any(model.flow.log_prob(x.astype("float32")) != expected)
    for given, size in ((x, 32), (tf.constant(x), 5)):
        found = model.predict(given, batch_size=size, verbose=0)
        np.testing.assert_array_equal(found, expected)
    model.fit(x, batch_size=12, validation_split=0.25, verbose=0)
    # One step of gradient descent by the nine that were not held out.
    step = np.float64(np.float32(0.1)) * x[:9].mean(axis=0)
    np.testing.assert_allclose(model.get_weights()[0], step, rtol=1e-14)


@pytest.mark.parametrize("floatx", ["bfloat16", "float16", "float64"])
def test_the_dtype_of_keras_changes_nothing(floatx):
    expected = normal_model().evaluate(X, verbose=0)
    keras.config.set_floatx(floatx)
    try:
        found = normal_model().evaluate(X, verbose=0)
    finally:
        keras.config.set_floatx("float32")
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("labels", [None, LABELS], ids=["alone", "labelled"])
@pytest.mark.parametrize("kind", ["generator", "data set", "on batch"])
def test_none_in_the_place_of_labels_or_weights_is_nothing(kind, labels):
    make_model = normal_model if labels is None else conditional_model
    expected = make_model().evaluate(X32, labels, verbose=0)
    model, element = make_model(), (X32, labels, None)
    if kind == "on batch":
        found = model.test_on_batch(*element)
    else:
        found = model.evaluate(KINDS[kind](element), verbose=0)
        for part in (element, element[:2]):
            assert model.fit(KINDS[kind](part), verbose=0).history["nll"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", [list, tuple, "dict", "batches of a dict"])
def test_labels_may_be_sequences_or_beside_x_in_a_dict(kind):
    model, reference = conditional_model(), conditional_model()
    given = {"x": X32, "condition": LABELS}
    if kind == "batches of a dict":
        given = (Dataset.from_tensor_slices(given).batch(12),)
    elif kind == "dict":
        given = (given,)
    else:
        given = (X32, kind(LABELS))
    found = model.fit(*given, validation_data=given, shuffle=False, verbose=0).history
    expected = reference.fit(X32, LABELS, shuffle=False, verbose=0).history
    np.testing.assert_allclose(found["nll"], expected["nll"], rtol=1e-6)
    nll = model.evaluate(*given, verbose=0)[1]
    np.testing.assert_allclose(nll, found["val_nll"][0], rtol=1e-6)
    np.testing.assert_allclose(
        model.predict(*given, verbose=0), reference.predict(X32, LABELS, verbose=0)
    )


def test_a_data_set_without_end_needs_a_number_of_steps():
    model, endless = normal_model(), Dataset.from_tensors(X32).repeat()
    for method, steps in (
        (model.fit, "steps_per_epoch"),
        (model.evaluate, "steps"),
        (model.predict, "steps"),
    ):
        with pytest.raises(ValueError, match=f"{steps}: expected .* endless"):
            method(endless, verbose=0)
        method(endless, **{steps: 2}, verbose=0)
    with pytest.raises(ValueError, match="validation_steps: expected .* endless"):
        model.fit(X, validation_data=endless, verbose=0)


def test_data_sets_of_unknown_rank_are_taken():
    unknown = Dataset.from_generator(lambda: [X32], output_types=tf.float32)
    assert unknown.element_spec.shape.rank is None
    model = normal_model(run_eagerly=False)
    for method in (model.evaluate, model.predict):
        expected = method(X32, verbose=0)
        np.testing.assert_allclose(method(unknown, verbose=0), expected, rtol=1e-6)
    assert model.fit(unknown, verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[12,1\] is not comp"):
        wrong = Dataset.from_generator(lambda: [X32[:, :1]], output_types=tf.float32)
        model.evaluate(wrong, verbose=0)


def images(count=8):
    return np.random.default_rng(0).integers(0, 256, [count, 4, 4, 1], np.uint8)


@pytest.mark.parametrize("kind", ["array", "data set"])
def test_whole_floats_over_pixels_are_warned_of(kind):
    def make(x):
        return x if kind == "array" else Dataset.from_tensor_slices(x).batch(4)

    model = image_model()
    for method in (model.fit, model.evaluate):
        with pytest.warns(UserWarning, match="x: .* noise.* whole numbers.*uint8"):
            method(make(images().astype("float32")), verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.fit(make(images()), verbose=0)
        model.fit(make(images() + np.float32(0.5)), verbose=0)


def test_pixels_divided_by_255_are_warned_of():
    model = image_model()
    with pytest.warns(UserWarning, match="x: .* floats up to .*divided by 255"):
        model.evaluate(images() / np.float32(255), verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.evaluate(np.zeros([8, 4, 4, 1], np.float32), verbose=0)


def test_empty_batches_of_a_data_set_are_nothing():
    model = image_model()
    model.fit(images(), batch_size=4, shuffle=False, verbose=0)
    expected = [v.numpy() for v in variables_of(model)]
    scores = model.evaluate(images(), batch_size=4, verbose=0)
    log_prob = model.predict(images(), batch_size=4, verbose=0)
    model = image_model()
    parts = [images()[:4], images()[:0], images()[4:]]
    spec = tf.TensorSpec([None, 4, 4, 1], tf.uint8)
    with_empty = Dataset.from_generator(lambda: parts, output_signature=spec)
    model.fit(with_empty, verbose=0)
    assert_same([v.numpy() for v in variables_of(model)], expected)
    assert model.skipped_steps == 0
    # The noise of the batches after it is that of another place.
    np.testing.assert_allclose(model.evaluate(with_empty, verbose=0), scores, rtol=1e-2)
    found = model.predict(with_empty, verbose=0)
    assert found.shape == (8,)
    np.testing.assert_array_equal(found[:4], log_prob[:4])


def test_layers_draw_the_same_whether_the_length_of_the_data_is_known():
    def network(outputs):
        drop = keras.layers.Dropout(0.5, seed=0)
        return keras.Sequential([drop, keras.layers.Dense(outputs, use_bias=False)])

    def trained(data, **options):
        bijector = nvp.RealNVPBijector((2,), num_couplings=2, conditioner=network)
        base = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
        model = nvp.FlowModel(tfd.TransformedDistribution(base, bijector), seed=0)
        model.compile("adam")
        model.fit(data, epochs=2, shuffle=False, verbose=0, **options)
        return [v.numpy() for v in model.non_trainable_variables]

    batches = Dataset.from_tensor_slices(X32).batch(4).filter(lambda x: True)
    found, expected = trained(batches), trained(X32, batch_size=4)
    assert len(expected) >= 2
    assert_same(found, expected)


PIXELS = np.zeros([8, 4, 4, 1])
BATCHES = Dataset.from_tensor_slices(images()).batch(4)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros([8, 5, 4, 1]), r".* \(N, 4, 4, 1\), got .* \(8, 5, 4, 1\)"),
        (PIXELS[:0], "expected examples, got none"),
        (PIXELS - 1, r"expected pixels in \[0, 256\), got .* -1"),
        (PIXELS + 257, "expected pixels .* to 257"),
        (PIXELS.astype(int) + 256, "expected pixels .* to 256"),
        (PIXELS + np.nan, "expected finite numbers, .* in 128 places"),
        (PIXELS.astype(complex), "expected real numbers, got dtype complex"),
        (BATCHES.take(0), "expected batches, got an empty data set"),
        (BATCHES.unbatch(), r".* got uint8 of shape \(4, 4, 1\)"),
        ([[0.0]], r"expected an array, .* got \[\[0.0\]\]"),
        ({"x": PIXELS, "label": LABELS}, ".*x and condition.* got .*label"),
    ],
)
def test_bad_data_are_refused_before_any_training(x, message):
    model = image_model()
    for method in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match=f"x: {message}"):
            method(x, verbose=0)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("bad", [500.0, 257.0, -1.0, np.inf])
def test_a_data_set_of_bad_pixels_stops_with_their_values(bad):
    model, pixels = image_model(), np.full([8, 4, 4, 1], 7.0, "float32")
    pixels[5, 2, 2, 0] = bad
    with pytest.raises(tf.errors.InvalidArgumentError, match="x: expected pixels in"):
        model.fit(Dataset.from_tensors(pixels), verbose=0)
    assert model.optimizer.iterations == 0


def test_targets_losses_and_metrics_are_refused():
    model = image_model()
    for given in ((images(), np.zeros(8)), (Dataset.zip(BATCHES, BATCHES),)):
        with pytest.raises(ValueError, match="condition: expected None"):
            model.fit(*given, verbose=0)
    with pytest.raises(ValueError, match="class_weight: expected None"):
        model.fit(images(), class_weight={0: 2.0}, verbose=0)
    for name in ("loss", "metrics"):
        with pytest.raises(ValueError, match=f"{name}: expected None, .* got"):
            model.compile(**{name: ["mse"]})
