"""Layers that are not `trainable`, as fine-tuning has them."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from small_model import assert_same, new_image_model, vector_model, vectors

import tfp_realnvp as nvp

tfd = tfp.distributions
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
    assert_same(model.get_weights(), before)
    np.testing.assert_array_equal(model.predict(x, verbose=0), scores)


@pytest.mark.parametrize("memory", ["stored", "recompute"])
def test_the_last_scale_can_be_fine_tuned_alone(memory):
    model = new_image_model(num_scales=2, memory=memory)
    real_nvp = model.flow.bijector.bijectors[1]
    last_scale = real_nvp.body.bijectors[-2].bijector
    real_nvp.trainable = False
    last_scale.trainable = True
    model.compile(run_eagerly=True)
    learning = {id(v) for v in last_scale.variables}
    assert {id(v) for v in model.flow.trainable_variables} < learning

    before = [v.numpy() for v in real_nvp.variables]
    model.fit(IMAGES, batch_size=8, epochs=2, verbose=0)
    for variable, value in zip(real_nvp.variables, before, strict=True):
        assert np.any(variable != value) == (id(variable) in learning)


def test_trainable_variables_are_those_that_are_not_frozen():
    base = tfd.Independent(tfd.Normal(tf.Variable([0.0, 0.0]), 1.0), 1)
    bijector = nvp.RealNVPBijector((2,), num_couplings=2, hidden_units=(4,))
    flow = tfd.TransformedDistribution(base, bijector)
    model, sharing = nvp.FlowModel(flow), bijector.copy()

    def counts():
        parts = flow, bijector, sharing, model
        return [len(part.trainable_variables) for part in parts]

    assert counts() == [11, 10, 10, 11]
    network = bijector.body.bijectors[0].network
    network.trainable = False
    assert counts() == [6, 5, 5, 6]
    bijector.trainable = False
    assert counts() == [1, 0, 0, 1] and not bijector.trainable
    network.trainable = True
    assert counts() == [6, 5, 5, 6] and bijector.trainable
    model.trainable = False
    assert counts() == [0, 0, 0, 0] and len(flow.variables) == 11
    model.trainable = True
    assert counts() == [11, 10, 10, 11]


def test_what_is_thawed_has_gradients_again():
    model, x = vector_model(), tf.constant(vectors(4))
    model.trainable = False
    assert model.flow.trainable_variables == ()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        frozen = model.flow.log_prob(x)
        model.trainable = True
        thawed = model.flow.log_prob(x)
    weight = model.flow.bijector.body.bijectors[0].variables[0]
    assert tape.gradient(frozen, weight) is None
    assert tape.gradient(thawed, weight) is not None


def test_a_batch_of_one_row_is_normalized_by_the_moving_averages():
    model = vector_model(run_eagerly=True)
    model.fit(vectors(64), batch_size=16, verbose=0)
    x = tf.constant(vectors(1))
    expected, others = model.flow.log_prob(x), model.flow.log_prob(vectors(8))
    log_prob, _ = model.log_prob_parts(x, training=True)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-4)
    # Which it leaves where they are.
    np.testing.assert_allclose(model.flow.log_prob(vectors(8)), others, rtol=1e-4)


@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_what_is_frozen_stays_so_in_files_and_copies(kind, tmp_path):
    model = new_image_model() if kind == "images" else vector_model()
    x = IMAGES if kind == "images" else vectors(16)
    bijector = model.flow.bijector
    real_nvp = bijector.bijectors[1] if kind == "images" else bijector
    real_nvp.trainable = False
    real_nvp.body.bijectors[0].trainable = True
    model.compile("adam")
    model.fit(x, batch_size=8, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.iterations == model.optimizer.iterations == 2

    is_trained = [v.trainable for v in model.flow.variables]
    assert any(is_trained) and not all(is_trained)
    copied, pickled = copy.deepcopy(model.flow), pickle.loads(pickle.dumps(model.flow))
    for flow in (loaded.flow, copied, pickled):
        assert [v.trainable for v in flow.variables] == is_trained
        count = len(model.flow.trainable_variables)
        assert len(flow.trainable_variables) == count
    real_nvp.trainable = False
    assert nvp.freeze(model.flow).trainable_variables == ()
