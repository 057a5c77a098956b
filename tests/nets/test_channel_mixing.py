import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp.nets import ChannelMixing


def mixing(channels=5, dtype="float32"):
    layer = ChannelMixing(dtype=dtype)
    layer.build((None, 4, 4, channels))
    return layer


def moved(layer, seed=0):
    value = np.random.default_rng(seed).normal(scale=0.3, size=layer.lower_upper.shape)
    layer.lower_upper.assign(value)
    return layer


def pixels(channels=5, dtype="float32"):
    return tf.random.stateless_normal([2, 3, 4, channels], (0, 1), dtype=dtype)


def matrix_of(layer):
    """The matrix as the documentation defines it."""
    weight = layer.lower_upper.numpy()
    lower = np.tril(weight, -1) + np.eye(len(weight))
    return lower @ (np.triu(weight, 1) + np.diag(np.exp(np.diag(weight))))


def test_a_new_layer_leaves_channels_as_they_are():
    np.testing.assert_array_equal(mixing()(pixels()), pixels())
    assert mixing().log_abs_det() == 0


def test_outputs_are_those_of_the_matrix_at_every_pixel():
    layer = moved(mixing())
    expected = np.einsum("ij,nhwj->nhwi", matrix_of(layer), pixels())
    np.testing.assert_allclose(layer(pixels()), expected, rtol=1e-5, atol=1e-5)
    determinant = np.linalg.slogdet(matrix_of(layer))[1]
    np.testing.assert_allclose(layer.log_abs_det(), determinant, rtol=1e-5)


@pytest.mark.parametrize(("dtype", "accuracy"), [("float32", 1e-5), ("float64", 1e-13)])
def test_what_is_undone_is_what_was_mixed(dtype, accuracy):
    layer = moved(mixing(12, dtype))
    mixed = layer(pixels(12, dtype))
    np.testing.assert_allclose(layer.undo(mixed), pixels(12, dtype), atol=accuracy)


def test_shapes_are_kept_where_they_are_known_at_last():
    layer = moved(mixing())
    function = tf.function(
        layer, input_signature=[tf.TensorSpec([None, None, 4, 5], tf.float32)]
    )
    assert function.get_concrete_function().structured_outputs.shape.as_list() == [
        None,
        None,
        4,
        5,
    ]
    np.testing.assert_allclose(function(pixels()), layer(pixels()), rtol=1e-6)
    assert layer(tf.zeros([0, 3, 4, 5])).shape == (0, 3, 4, 5)


def test_the_layer_comes_back_from_its_configuration():
    layer = moved(mixing())
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(pixels()), layer(pixels()))
