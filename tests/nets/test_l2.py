import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp.nets.l2 import L2


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_penalty_and_its_gradient_are_those_of_keras(shape, dtype):
    values = np.random.default_rng(0).normal(size=shape)
    found = []
    for regularizer in (L2(0.3), keras.regularizers.L2(0.3)):
        variable = keras.Variable(values, dtype=dtype)
        with tf.GradientTape() as tape:
            penalty = regularizer(variable)
        assert penalty.dtype == dtype
        found.append((penalty, tape.gradient(penalty, variable.value)))
    for actual, expected in zip(*found, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_the_penalty_of_a_scalar_needs_no_axes():
    variable = keras.Variable(2.0)
    graph = tf.function(lambda: L2(0.3)(variable)).get_concrete_function().graph
    assert not {"Range", "Rank", "Sum"} & {op.type for op in graph.get_operations()}


def test_the_penalty_comes_back_from_its_configuration():
    regularizer = keras.regularizers.deserialize(keras.regularizers.serialize(L2(0.3)))
    assert type(regularizer) is L2
    assert float(regularizer.l2) == pytest.approx(0.3)
