import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp


def test_a_new_convolution_is_the_identity():
    conv = nvp.InvertibleConv((2, 2, 3))
    y = tf.random.stateless_normal([4, 2, 2, 3], (0, 1))
    np.testing.assert_array_equal(conv.inverse(y), y)
    assert len(conv.trainable_variables) == 1


def test_the_log_determinant_counts_all_pixels_of_any_size():
    conv = nvp.InvertibleConv((2, 2, 3))
    conv.mixing.lower_upper.assign(np.diag([0.1, 0.2, -0.5]))
    for height, width in ((2, 2), (3, 5)):
        y = tf.zeros([4, height, width, 3])
        found = conv.inverse_log_det_jacobian(y, event_ndims=3)
        np.testing.assert_allclose(found, 4 * [-0.2 * height * width], rtol=1e-5)


def test_a_copy_shares_the_matrix_and_another_convolution_does_not():
    conv = nvp.InvertibleConv((2, 2, 3))
    assert conv.copy(name="other").mixing is conv.mixing
    assert nvp.InvertibleConv((2, 2, 3)) != conv


@pytest.mark.parametrize(
    ("arguments", "error", "expected"),
    [
        ({"event_shape": (4,)}, ValueError, r"event_shape: expected \(height, width"),
        ({"mixing": 3}, TypeError, "mixing: expected ChannelMixing or None, got 3"),
    ],
)
def test_what_is_no_convolution_of_images_is_refused(arguments, error, expected):
    with pytest.raises(error, match=expected):
        nvp.InvertibleConv(**{"event_shape": (2, 2, 3), **arguments})


def test_events_of_another_number_of_channels_are_refused():
    with pytest.raises(ValueError, match="y: expected shape .*3.*got .*4"):
        nvp.InvertibleConv((2, 2, 3)).inverse(tf.zeros([1, 2, 2, 4]))


def test_integer_pixels_are_refused():
    with pytest.raises(ValueError, match="y: expected a floating dtype, got int32"):
        nvp.InvertibleConv((2, 2, 3)).inverse(tf.zeros([1, 2, 2, 3], tf.int32))


@pytest.fixture
def mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def test_pixels_keep_their_accuracy_under_a_policy_of_mixed_precision(mixed_precision):
    conv = nvp.InvertibleConv((2, 2, 3))
    conv.mixing.lower_upper.assign(np.full([3, 3], 0.2))
    y = tf.random.stateless_normal([4, 2, 2, 3], (0, 1))
    x = conv.inverse(y)
    assert x.dtype == tf.float32
    np.testing.assert_allclose(conv.forward(tf.identity(x)), y, rtol=1e-5, atol=1e-6)
