import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from small_model import image_model, new_image_model

import tfp_realnvp as nvp

tfb = tfp.bijectors
tfd = tfp.distributions


def images(count=64, shape=(4, 4, 1)):
    ramp = np.linspace(40, 200, count)[:, None, None, None]
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=10, size=(count, *shape))
    return rng.permutation(np.clip(ramp + noise, 0, 255).astype(np.uint8))


def batches(count=64, batch_size=16):
    return tf.data.Dataset.from_tensor_slices(images(count)).batch(batch_size)


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
    still = [
        v.path
        for v, old in zip(model.variables, before, strict=True)
        if np.array_equal(v.numpy(), old) and "evaluation_noise" not in v.path
    ]
    assert not still


def test_predict_is_log_prob_and_evaluate_its_mean():
    model = image_model()
    log_prob = model.predict(images(), verbose=0)
    assert log_prob.shape == (64,)
    result = model.evaluate(images(), return_dict=True, verbose=0)
    expected = nvp.bits_per_dim(log_prob, (4, 4, 1)).mean()
    np.testing.assert_allclose(result["bits_per_dim"], expected, rtol=1e-5)


def test_evaluation_is_repeatable_and_leaves_training_as_it_was():
    model = image_model()
    first = model.evaluate(images(), verbose=0)
    assert model.evaluate(images(), verbose=0) == first
    history = model.fit(batches(), verbose=0).history
    assert image_model().fit(batches(), verbose=0).history == history


def test_float_images_have_their_noise_already():
    model = image_model()
    pixels = images().astype("float32") + 0.5
    expected = model.flow.log_prob(pixels)
    np.testing.assert_allclose(model.predict(pixels, verbose=0), expected, rtol=1e-5)


@pytest.mark.parametrize("sample_weight", [None, np.full(64, 7.0)])
def test_the_loss_is_bits_per_dim_and_the_penalty(sample_weight):
    model = new_image_model(l2=0.01)
    result = model.evaluate(
        images(), sample_weight=sample_weight, return_dict=True, verbose=0
    )
    penalty = float(sum(model.losses))
    assert penalty > 0.1
    expected = result["bits_per_dim"] + penalty
    np.testing.assert_allclose(result["loss"], expected, rtol=1e-5)
    assert not new_image_model(l2=0.0).losses


def test_training_works_under_xla_and_computes_the_same():
    compiled = new_image_model()
    compiled.compile(jit_compile=True)
    plain, under_xla = (
        model.fit(batches(), epochs=2, verbose=0).history["loss"]
        for model in (image_model(), compiled)
    )
    np.testing.assert_allclose(under_xla, plain, rtol=1e-3)


def test_targets_losses_and_metrics_are_refused():
    model = image_model()
    for given in (
        (images(), np.zeros(64)),
        (tf.data.Dataset.zip(batches(), batches()),),
    ):
        with pytest.raises(ValueError, match="condition: expected None"):
            model.fit(*given, verbose=0)
    with pytest.raises(ValueError, match="class_weight: expected None"):
        model.fit(images(), class_weight={0: 2.0}, verbose=0)
    with pytest.raises(ValueError, match="loss: expected None, .* got 'mse'"):
        model.compile(loss="mse")
    with pytest.raises(ValueError, match="metrics: expected None"):
        model.compile(metrics=["mse"])


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
    expected = -model.flow.log_prob(x)
    result = model.evaluate(x, return_dict=True, verbose=0)
    np.testing.assert_allclose(result["nll"], np.mean(expected), rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros([8, 5, 4, 1], np.uint8), r".* \(N, 4, 4, 1\), got .* \(8, 5, 4, 1\)"),
        (np.zeros([0, 4, 4, 1], np.uint8), "expected examples, got none"),
        (np.full([8, 4, 4, 1], -1.0), r"expected pixels in \[0, 256\), got .* -1"),
        (np.full([8, 4, 4, 1], 257.0), r"expected pixels .* to 257"),
        (np.full([8, 4, 4, 1], 256), r"expected pixels .* to 256"),
        (np.full([8, 4, 4, 1], np.nan), "expected finite numbers, .* in 128 places"),
        (np.zeros([8, 4, 4, 1], complex), "expected real numbers, got dtype complex"),
        (batches().take(0), "expected batches, got an empty data set"),
        (batches().unbatch(), r".* got uint8 of shape \(4, 4, 1\)"),
        ([[0.0]], r"expected an array, .* got \[\[0.0\]\]"),
    ],
)
def test_bad_data_are_refused_before_any_training(x, message):
    model = image_model()
    for method in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match=f"x: {message}"):
            method(x, verbose=0)
    assert model.optimizer.iterations == 0


def test_a_data_set_of_bad_pixels_stops_with_their_values():
    model = image_model()
    for bad in (500.0, 257.0, -1.0, np.inf):
        pixels = np.full([8, 4, 4, 1], 7.0, "float32")
        pixels[5, 2, 2, 0] = bad
        data = tf.data.Dataset.from_tensor_slices(pixels).batch(8)
        message = "x: expected pixels in"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            model.fit(data, verbose=0)
    pixels[5, 2, 2, 0] = 255.0
    model.fit(tf.data.Dataset.from_tensor_slices(pixels).batch(8), verbose=0)
    assert model.optimizer.iterations == 1


def test_pixels_divided_by_255_are_warned_of():
    model = image_model()
    with pytest.warns(UserWarning, match="x: .* floats up to 0.*divided by 255"):
        model.evaluate(images(8) / np.float32(255), verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.evaluate(np.zeros([8, 4, 4, 1], np.float32), verbose=0)


def test_a_model_can_be_saved_before_it_is_compiled_and_keeps_how_it_was(tmp_path):
    model = nvp.FlowModel(tfd.Normal(tf.Variable(0.5), 1.0))
    model.save(tmp_path / "model.keras")
    assert not keras.saving.load_model(tmp_path / "model.keras").compiled
    options = {"on_non_finite": "skip", "max_skipped_in_a_row": 3, "average_decay": 0.9}
    model.compile("sgd", **options)
    model.save(tmp_path / "model.keras")
    config = keras.saving.load_model(tmp_path / "model.keras").get_compile_config()
    assert {name: config[name] for name in options} == options
