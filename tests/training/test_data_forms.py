"""What `fit`, `evaluate` and `predict` take, and what they make of it."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from small_model import image_model, variables_of

import tfp_realnvp as nvp

tfd = tfp.distributions
Dataset = tf.data.Dataset


def normal_model(dtype="float32", size=2):
    mean = tf.Variable(tf.zeros([size], dtype), name="mean")
    flow = tfd.Independent(tfd.Normal(mean, tf.ones([], dtype)), 1)
    model = nvp.FlowModel(flow, seed=0)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def conditional_model():
    base = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
    bijector = nvp.RealNVPBijector(
        (2,), num_couplings=2, hidden_units=(4,), condition_size=3, seed=0
    )
    model = nvp.FlowModel(tfd.TransformedDistribution(base, bijector))
    model.compile("sgd", run_eagerly=True)
    return model


def points(count=12, dtype="float64"):
    return np.random.default_rng(0).normal(size=[count, 2]).astype(dtype)


LABELS = np.arange(12) % 3


def generator(*elements):
    yield from elements


class Batches(keras.utils.PyDataset):
    def __init__(self, *elements):
        super().__init__()
        self.elements = elements

    def __len__(self):
        return len(self.elements)

    def __getitem__(self, index):
        return self.elements[index]


@pytest.mark.parametrize("dtype", ["float16", "float64", "uint8"])
@pytest.mark.parametrize("kind", ["data set", "generator", "PyDataset", "on batch"])
def test_batches_of_any_dtype_are_cast_to_that_of_the_flow(kind, dtype):
    x = np.round(np.abs(4 * points())).astype(dtype)
    expected = normal_model()
    expected.fit(x.astype("float32"), batch_size=12, verbose=0)
    model = normal_model()
    if kind == "on batch":
        model.train_on_batch(x)
    else:
        data = {
            "data set": lambda: Dataset.from_tensors(x),
            "generator": lambda: generator((x,)),
            "PyDataset": lambda: Batches((x,)),
        }[kind]()
        model.fit(data, verbose=0)
    np.testing.assert_array_equal(*[m.get_weights()[0] for m in (model, expected)])


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float16"])
def test_arrays_of_any_dtype_are_cast_to_that_of_the_flow(dtype):
    x = np.round(np.abs(4 * points())).astype(dtype)
    model = normal_model()
    expected = model.flow.log_prob(x.astype("float32"))
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    nll = model.evaluate(x, return_dict=True, verbose=0)["nll"]
    np.testing.assert_allclose(nll, -np.mean(expected), rtol=1e-6)


def test_a_float64_flow_sees_every_digit_of_arrays():
    model, x = normal_model("float64"), points() + 1e-12
    expected = model.flow.log_prob(x).numpy()
    assert np.any(model.flow.log_prob(x.astype("float32")) != expected)
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    np.testing.assert_array_equal(
        model.predict(tf.constant(x), batch_size=5, verbose=0), expected
    )
    model.fit(x, batch_size=12, validation_split=0.25, verbose=0)
    # One step of gradient descent by the nine that were not held out.
    np.testing.assert_allclose(
        model.get_weights()[0],
        np.float64(np.float32(0.1)) * x[:9].mean(axis=0),
        rtol=1e-14,
    )


@pytest.mark.parametrize("floatx", ["bfloat16", "float16", "float64"])
def test_the_dtype_of_keras_changes_nothing(floatx):
    expected = normal_model().evaluate(points(), return_dict=True, verbose=0)
    keras.config.set_floatx(floatx)
    try:
        result = normal_model().evaluate(points(), return_dict=True, verbose=0)
    finally:
        keras.config.set_floatx("float32")
    for name in ("loss", "nll"):
        np.testing.assert_allclose(result[name], expected[name], rtol=1e-6)


@pytest.mark.parametrize("labels", [None, LABELS], ids=["alone", "labelled"])
@pytest.mark.parametrize("kind", ["generator", "data set", "on batch"])
def test_none_in_the_place_of_labels_or_weights_is_nothing(kind, labels):
    x = points(dtype="float32")
    make_model = normal_model if labels is None else conditional_model
    expected = make_model().evaluate(x, labels, verbose=0)
    model, element = make_model(), (x, labels, None)
    if kind == "on batch":
        found = model.test_on_batch(*element)
    else:
        make = generator if kind == "generator" else Dataset.from_tensors
        found = model.evaluate(make(element), verbose=0)
        assert model.fit(make(element), verbose=0).history["nll"]
        assert model.fit(make(element[:2]), verbose=0).history["nll"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("labels", [list(LABELS), tuple(LABELS)])
def test_labels_may_be_a_list_or_a_tuple(labels):
    x = points(dtype="float32")
    model, reference = conditional_model(), conditional_model()
    found = model.fit(x, labels, verbose=0, shuffle=False).history
    expected = reference.fit(x, np.array(labels), verbose=0, shuffle=False).history
    assert found == expected
    assert model.evaluate(x, labels, verbose=0)
    assert model.predict(x, labels, verbose=0).shape == (12,)


def test_a_dict_of_x_and_condition_is_both():
    x = points(dtype="float32")
    expected = conditional_model().evaluate(x, LABELS, verbose=0)
    data = {"x": x, "condition": LABELS}
    model = conditional_model()
    assert model.evaluate(data, verbose=0) == expected
    batches = Dataset.from_tensor_slices(data).batch(12)
    np.testing.assert_allclose(model.evaluate(batches, verbose=0), expected, rtol=1e-6)
    assert model.fit(data, validation_data=(data,), verbose=0).history["val_nll"]
    assert model.predict(data, verbose=0).shape == (12,)
    with pytest.raises(ValueError, match="x: expected .*x and condition.* got .*label"):
        model.fit({"x": x, "label": LABELS})


@pytest.mark.parametrize("label", [7, 3, -1])
@pytest.mark.parametrize("run_eagerly", [True, False])
def test_labels_outside_of_the_classes_are_refused_in_data_sets(label, run_eagerly):
    model = conditional_model()
    model.compile("sgd", run_eagerly=run_eagerly)
    before = model.get_weights()
    data = Dataset.from_tensors((points(dtype="float32"), np.full(12, label)))
    for method in (model.fit, model.evaluate, model.predict):
        with pytest.raises(Exception, match=r"condition: expected .*\[0, 3\)"):
            method(data, verbose=0)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_data_set_without_end_needs_a_number_of_steps():
    model = normal_model()
    endless = Dataset.from_tensors(points(dtype="float32")).repeat()
    for method, steps in (
        (model.fit, "steps_per_epoch"),
        (model.evaluate, "steps"),
        (model.predict, "steps"),
    ):
        with pytest.raises(ValueError, match=f"{steps}: expected .* without end"):
            method(endless, verbose=0)
        method(endless, **{steps: 2}, verbose=0)
    with pytest.raises(ValueError, match="validation_steps: expected .* without end"):
        model.fit(points(), validation_data=endless, verbose=0)


def test_data_sets_of_unknown_rank_are_taken():
    x = points(dtype="float32")
    unknown = Dataset.from_generator(lambda: [x], output_types=tf.float32)
    assert unknown.element_spec.shape.rank is None
    model = normal_model()
    model.compile("sgd")
    expected = model.evaluate(x, verbose=0)
    np.testing.assert_allclose(model.evaluate(unknown, verbose=0), expected, rtol=1e-6)
    np.testing.assert_array_equal(
        model.predict(unknown, verbose=0), model.predict(x, verbose=0)
    )
    assert model.fit(unknown, verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[12,1\] is not comp"):
        wrong = Dataset.from_generator(lambda: [x[:, :1]], output_types=tf.float32)
        model.evaluate(wrong, verbose=0)


def images(count=8):
    return np.random.default_rng(0).integers(0, 256, [count, 4, 4, 1], np.uint8)


@pytest.mark.parametrize(
    "make",
    [lambda x: x, lambda x: Dataset.from_tensor_slices(x).batch(4)],
    ids=["array", "data set"],
)
def test_whole_floats_over_pixels_are_warned_of(make):
    model = image_model()
    message = "x: .* dequantization .* whole numbers.*uint8"
    for method in (model.fit, model.evaluate):
        with pytest.warns(UserWarning, match=message):
            method(make(images().astype("float32")), verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.fit(make(images()), verbose=0)
        model.fit(make(images() + np.float32(0.5)), verbose=0)


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
    for variable, value in zip(variables_of(model), expected, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert model.skipped_steps == 0
    # The noise of the batches after it is that of another place.
    np.testing.assert_allclose(model.evaluate(with_empty, verbose=0), scores, rtol=1e-2)
    found = model.predict(with_empty, verbose=0)
    assert found.shape == (8,)
    np.testing.assert_array_equal(found[:4], log_prob[:4])
