import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp


def test_the_matrix_is_lower_times_upper_at_every_pixel_and_first_the_identity():
    layer = nvp.ChannelMixing()
    x = tf.random.stateless_normal([2, 3, 4, 5], (0, 1))
    np.testing.assert_array_equal(layer(x), x)
    weight = np.random.default_rng(0).normal(scale=0.3, size=[5, 5])
    layer.lower_upper.assign(weight)
    lower = np.tril(weight, -1) + np.eye(5)
    matrix = lower @ (np.triu(weight, 1) + np.diag(np.exp(np.diag(weight))))
    expected = np.einsum("ij,nhwj->nhwi", matrix, x)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)
    determinant = np.linalg.slogdet(matrix)[1]
    np.testing.assert_allclose(layer.log_abs_det(), determinant, rtol=1e-5)
    function = tf.function(layer, input_signature=[tf.TensorSpec([None, None, 4, 5])])
    assert function.get_concrete_function().output_shapes.as_list()[2:] == [4, 5]
    np.testing.assert_allclose(function(x), layer(x), rtol=1e-6)
    assert layer(tf.zeros([0, 3, 4, 5])).shape == (0, 3, 4, 5)


def test_the_log_determinant_counts_all_pixels_of_any_size():
    conv = nvp.InvertibleConv((2, 2, 3))
    conv.mixing.lower_upper.assign(np.diag([0.1, 0.2, -0.5]))
    for height, width in ((2, 2), (3, 5)):
        y = tf.zeros([4, height, width, 3])
        found = conv.inverse_log_det_jacobian(y, event_ndims=3)
        np.testing.assert_allclose(found, 4 * [-0.2 * height * width], rtol=1e-5)


def test_other_channels_and_integer_pixels_are_refused():
    conv = nvp.InvertibleConv((2, 2, 3))
    with pytest.raises(ValueError, match="y: expected shape .*3.*got .*4"):
        conv.inverse(tf.zeros([1, 2, 2, 4]))
    with pytest.raises(ValueError, match="y: expected a floating dtype, got int32"):
        conv.inverse(tf.zeros([1, 2, 2, 3], tf.int32))


def test_pixels_keep_their_accuracy_under_a_policy_of_mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        conv = nvp.InvertibleConv((2, 2, 3))
    finally:
        keras.config.set_dtype_policy(before)
    conv.mixing.lower_upper.assign(np.full([3, 3], 0.2))
    y = tf.random.stateless_normal([4, 2, 2, 3], (0, 1))
    x = conv.inverse(y)
    assert x.dtype == tf.float32
    np.testing.assert_allclose(conv.forward(tf.identity(x)), y, rtol=1e-5, atol=1e-6)
