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

tfb = tfp.bijectors
tfd = tfp.distributions
Dataset = tf.data.Dataset


def images(count=64):
    ramp = np.linspace(40, 200, count)[:, None, None, None]
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=10, size=(count, 4, 4, 1))
    return rng.permutation(np.clip(ramp + noise, 0, 255).astype(np.uint8))


def batches(count=64):
    return Dataset.from_tensor_slices(images(count)).batch(16)


def test_training_lowers_bits_per_dim_on_images_it_has_not_seen():
    model = image_model()
    untrained = model.evaluate(batches(), return_dict=True, verbose=0)
    history = model.fit(
        batches(512), epochs=8, validation_data=batches(), verbose=0
    ).history
    assert set(history) == {"loss", "bits_per_dim", "val_loss", "val_bits_per_dim"}
    assert history["val_bits_per_dim"][-1] < untrained["bits_per_dim"] - 0.5
    assert history["val_bits_per_dim"][-1] < 7


def test_the_same_seed_gives_the_same_losses_and_another_seed_others():
    def losses(model):
        return model.fit(batches().shuffle(4, seed=0), epochs=3, verbose=0).history

    first = losses(image_model())
    assert losses(new_image_model(seed=0)) == first
    assert losses(new_image_model(seed=2)) != first


def test_training_moves_every_weight_and_the_moving_averages():
    model = image_model()
    assert model.optimizer.global_clipnorm == 100
    before = [v.numpy() for v in model.variables]
    model.fit(batches(), epochs=2, verbose=0)
    pairs = zip(model.variables, before, strict=True)
    still = {v.path for v, old in pairs if np.array_equal(v.numpy(), old)}
    assert still == {v.path for v in model.variables if "evaluation_noise" in v.path}


def test_predict_is_log_prob_and_evaluate_its_mean():
    model = image_model()
    log_prob = model.predict(images(), verbose=0)
    assert log_prob.shape == (64,)
    result = model.evaluate(images(), return_dict=True, verbose=0)
    expected = nvp.bits_per_dim(log_prob, (4, 4, 1)).mean()
    np.testing.assert_allclose(result["bits_per_dim"], expected, rtol=1e-5)
    # Floating images have their noise already.
    pixels = images().astype("float32") + 0.5
    expected = model.flow.log_prob(pixels)
    np.testing.assert_allclose(model.predict(pixels, verbose=0), expected, rtol=1e-5)


def test_evaluation_is_repeatable_and_leaves_training_as_it_was():
    model = image_model()
    first = model.evaluate(images(), verbose=0)
    assert model.evaluate(images(), verbose=0) == first
    history = model.fit(batches(), verbose=0).history
    assert image_model().fit(batches(), verbose=0).history == history


@pytest.mark.parametrize("sample_weight", [None, np.full(64, 7.0)])
def test_the_loss_is_bits_per_dim_and_the_penalty(sample_weight):
    model = new_image_model(l2=0.01)
    loss, bits = model.evaluate(images(), sample_weight=sample_weight, verbose=0)
    penalty = float(sum(model.losses))
    assert penalty > 0.1
    np.testing.assert_allclose(loss, bits + penalty, rtol=1e-5)
    assert not new_image_model(l2=0.0).losses


def test_training_works_under_xla_and_computes_the_same():
    compiled = new_image_model()
    compiled.compile(jit_compile=True)
    plain, under_xla = (
        model.fit(batches(), epochs=2, verbose=0).history["loss"]
        for model in (image_model(), compiled)
    )
    np.testing.assert_allclose(under_xla, plain, rtol=1e-3)


def test_flows_of_tfp_compositions_train_by_batch_statistics():
    bijector = nvp.BatchNorm((2,))
    base = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    chain = tfb.Chain([tfb.Shift(1.0), bijector])
    model = nvp.FlowModel(tfd.TransformedDistribution(base, chain))
    x = np.random.default_rng(0).normal(size=[64, 2]).astype("float32")
    model.compile()
    history = model.fit(x, batch_size=32, verbose=0).history
    assert set(history) == {"loss", "nll"}
    assert np.any(bijector.moments.moving_variance.numpy() != 1)
    nll = model.evaluate(x, verbose=0)[1]
    np.testing.assert_allclose(nll, -np.mean(model.flow.log_prob(x)), rtol=1e-5)


def test_a_model_can_be_saved_before_it_is_compiled_and_keeps_how_it_was(tmp_path):
    model = nvp.FlowModel(tfd.Normal(tf.Variable(0.5), 1.0))
    model.save(tmp_path / "model.keras")
    assert not keras.saving.load_model(tmp_path / "model.keras").compiled
    options = {"on_non_finite": "skip", "max_skipped_in_a_row": 3, "average_decay": 0.9}
    model.compile("sgd", **options)
    model.save(tmp_path / "model.keras")
    config = keras.saving.load_model(tmp_path / "model.keras").get_compile_config()
    assert {name: config[name] for name in options} == options


# What users of Keras expect.


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
    batches = Dataset.from_tensor_slices(images(40)).batch(8)
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
