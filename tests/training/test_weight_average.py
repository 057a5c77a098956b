import numpy as np
import pytest
import tensorflow as tf
from small_model import new_image_model, state, vector_model, vectors


def test_the_average_follows_the_weights_as_its_formula_says():
    model = vector_model(average_decay=0.9)
    expected, weights = [v.numpy() for v in model.weights], model.weights
    for step in range(1, 5):
        model.fit(vectors()[:16], batch_size=16, verbose=0)
        decay = min(0.9, (step - 1) / (step + 8))
        expected = [
            decay * old + (1 - decay) * v.numpy()
            for old, v in zip(expected, weights, strict=True)
        ]
    before = state(model)
    with model.averaged_weights():
        for value, average in zip(weights, expected, strict=True):
            np.testing.assert_allclose(value.numpy(), average, rtol=1e-5, atol=1e-6)
    for a, b in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_weights_come_back_when_something_fails_under_the_average():
    model = vector_model(average_decay=0.9)
    model.fit(vectors(), batch_size=16, verbose=0)
    before = state(model)
    with pytest.raises(KeyError), model.averaged_weights():
        raise KeyError
    for a, b in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_an_average_there_is_none_to_use():
    for model in (vector_model(), vector_model(average_decay=0.9)):
        with (
            pytest.raises(ValueError, match="expected a model compiled with average_d"),
            model.averaged_weights(),
        ):
            pass


def test_a_refused_step_leaves_the_average_as_it_was():
    model = new_image_model()
    model.compile(average_decay=0.9, on_non_finite="skip")
    images = np.random.default_rng(0).integers(0, 256, [8, 4, 4, 1], np.uint8)
    model.fit(images, batch_size=8, epochs=2, verbose=0)
    before = [variable.numpy() for variable in model.average.variables]
    # All normalizations after it see infinite activations.
    weight = model.trainable_variables[0]
    good = tf.identity(weight.value)
    weight.assign(weight * np.inf)
    model.fit(images, batch_size=8, verbose=0)
    weight.assign(good)
    assert model.skipped_steps == 1
    for variable, value in zip(model.average.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
