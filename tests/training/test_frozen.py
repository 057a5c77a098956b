"""Layers that are not `trainable`, as fine-tuning has them."""

import numpy as np
import pytest
import tensorflow as tf
from small_model import new_image_model, vector_model, vectors

import tfp_realnvp as nvp
from tfp_realnvp.training.parts import keras_layers

IMAGES = np.random.default_rng(0).integers(0, 256, [16, 4, 4, 1], np.uint8)


@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_a_frozen_model_stays_what_it_is_in_fit(kind):
    model = new_image_model() if kind == "images" else vector_model()
    x = IMAGES if kind == "images" else vectors(16)
    model.trainable = False
    model.compile(run_eagerly=True)
    before, scores = model.get_weights(), model.predict(x, verbose=0)
    # By moving averages, as it is evaluated.
    loss = model.train_on_batch(x, return_dict=True)["loss"]
    model.fit(x, batch_size=8, verbose=0)
    np.testing.assert_allclose(loss, np.mean(model.to_units(scores)), rtol=0.02)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model.predict(x, verbose=0), scores)


@pytest.mark.parametrize("memory", ["stored", "recompute"])
def test_frozen_couplings_stay_what_they_are_while_others_learn(memory):
    model = new_image_model(num_scales=2, memory=memory)
    couplings = [m for m in model.flow.submodules if isinstance(m, nvp.AffineCoupling)]
    frozen, learning = couplings[:-4], couplings[-4:]
    for coupling in frozen:
        for layer in keras_layers(coupling):
            layer.trainable = False
    model.compile(run_eagerly=True)

    def weights(parts):
        return [
            v.numpy()
            for part in parts
            for top in keras_layers(part)
            for v in top.weights
        ]

    before = weights(frozen), weights(learning)
    model.fit(IMAGES, batch_size=8, epochs=2, verbose=0)
    for a, b in zip(weights(frozen), before[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(
        np.any(a != b) for a, b in zip(weights(learning), before[1], strict=True)
    )


def test_a_batch_of_one_row_is_normalized_by_the_moving_averages():
    model = vector_model(run_eagerly=True)
    model.fit(vectors(64), batch_size=16, verbose=0)
    x = tf.constant(vectors(1))
    expected, others = model.flow.log_prob(x), model.flow.log_prob(vectors(8))
    log_prob, _ = model.log_prob_parts(x, training=True)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-4)
    # Which it leaves where they are.
    np.testing.assert_allclose(model.flow.log_prob(vectors(8)), others, rtol=1e-4)
