import numpy as np
import pytest
from small_model import state, vector_model, vectors


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
