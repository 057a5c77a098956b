import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from small_model import image_model, new_image_model

import tfp_realnvp as nvp

tfb = tfp.bijectors
tfd = tfp.distributions


def images(count=64):
    ramp = np.linspace(40, 200, count)[:, None, None, None]
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=10, size=(count, 4, 4, 1))
    return rng.permutation(np.clip(ramp + noise, 0, 255).astype(np.uint8))


def batches(count=64):
    return tf.data.Dataset.from_tensor_slices(images(count)).batch(16)


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
    assert not image_model().losses


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
