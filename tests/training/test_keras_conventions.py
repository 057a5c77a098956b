import concurrent.futures

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from small_model import (
    assert_same,
    image_model,
    new_image_model,
    state,
    vector_model,
    vectors,
)

import tfp_realnvp as nvp

tfd = tfp.distributions
Dataset = tf.data.Dataset


def images(count=40):
    return np.random.default_rng(0).integers(0, 256, [count, 4, 4, 1], np.uint8)


@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_a_bad_batch_of_train_on_batch_is_for_the_guard(kind):
    if kind == "images":
        model, x = image_model(), images(4).astype("float32")
    else:
        model, x = vector_model(run_eagerly=True), vectors(4)
    x[1] = np.nan
    before = state(model)
    with pytest.raises(FloatingPointError, match="1 of the 4 examples hold NaN"):
        model.train_on_batch(x)
    assert_same(state(model), before)


def test_an_epoch_of_bad_steps_has_no_loss():
    model = vector_model(run_eagerly=True, on_non_finite="skip")
    bad = Dataset.from_tensors(np.full([4, 2], np.inf, "float32"))
    loss, _ = model.train_on_batch(np.full([4, 2], np.nan, "float32"))
    assert np.isnan(loss) and model.skipped_steps == 1
    history = model.fit(bad.concatenate(bad), epochs=1, verbose=0).history
    assert np.isnan(history["loss"]).all() and np.isnan(history["nll"]).all()


@pytest.mark.parametrize("callback", ["EarlyStopping", "ReduceLROnPlateau"])
def test_callbacks_know_which_way_is_better(callback):
    for model, x, name in (
        (vector_model(run_eagerly=True), vectors(8), "nll"),
        (image_model(), images(8), "bits_per_dim"),
    ):
        made = getattr(keras.callbacks, callback)(monitor=f"val_{name}")
        model.fit(x, validation_data=(x,), callbacks=[made], verbose=0)
        assert made.monitor_op(1.0, 2.0)


@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_the_noise_is_a_function_of_the_step(steps_per_execution):
    reference, model = new_image_model(), new_image_model()
    batches = Dataset.from_tensor_slices(images()).batch(8)
    reference.fit(batches, epochs=2, verbose=0)
    model.compile(steps_per_execution=steps_per_execution)
    of_unknown_length = batches.filter(lambda _: True)
    model.fit(of_unknown_length, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.noise_states[0], [0, 10])
    assert_same(state(model), state(reference))


def test_scores_of_several_threads_are_those_of_one():
    model, x = image_model(), images(400)
    expected = model.predict(x, batch_size=8, verbose=0)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        made = [pool.submit(model.predict, x, None, 8, 0) for _ in range(8)]
    for log_prob in made:
        np.testing.assert_array_equal(log_prob.result(), expected)


def test_the_same_images_have_the_same_score_however_they_are_scored():
    model, x = image_model(), images(16)
    expected = model.predict(x, batch_size=16, verbose=0)
    model.evaluate(x, batch_size=8, verbose=0)
    for _ in range(2):
        np.testing.assert_array_equal(model.predict_on_batch(x), expected)
        np.testing.assert_allclose(model(x), expected, rtol=1e-5)


@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD, keras.optimizers.Adam])
def test_a_loss_scale_factor_is_undone(optimizer):
    weights = []
    for factor in (None, 1024.0):
        mean = tf.Variable([0.0, 0.0])
        model = nvp.FlowModel(tfd.Independent(tfd.Normal(mean, 1.0), 1))
        scaled = optimizer(0.1, loss_scale_factor=factor, global_clipnorm=0.5)
        model.compile(scaled, run_eagerly=True)
        model.fit(vectors(8), verbose=0)
        assert model.last_report["gradient_norm"] < 10
        weights.append(model.get_weights()[0])
    assert np.all(weights[0] != 0)
    np.testing.assert_allclose(*weights, rtol=1e-5)


def test_export_says_what_exports(tmp_path):
    with pytest.raises(NotImplementedError, match="export: .*export_saved_model"):
        image_model().export(tmp_path)


def test_jit_compile_auto_is_left_to_us():
    model = new_image_model()
    model.compile(jit_compile="auto")
    assert model.jit_compile is False
    with pytest.raises(ValueError, match="jit_compile: expected True or False"):
        model.compile(jit_compile="yes")


def test_what_fit_takes_by_place_is_what_keras_takes():
    model = vector_model(run_eagerly=True)
    history = model.fit(vectors(8), None, 4, 2, 0)
    assert len(history.history["loss"]) == 2 and model.step == 4
    with pytest.raises(ValueError, match="epochs: expected a positive int"):
        model.fit(vectors(8), None, 4, 0)
