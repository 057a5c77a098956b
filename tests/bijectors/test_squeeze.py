import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfb = tfp.bijectors


def test_blocks_become_channels_top_left_first_and_those_of_a_pixel_stay_together():
    image = tf.reshape(tf.range(16.0), [4, 4, 1])
    expected = [[[0, 1, 4, 5], [2, 3, 6, 7]], [[8, 9, 12, 13], [10, 11, 14, 15]]]
    np.testing.assert_array_equal(nvp.Squeeze().forward(image), expected)
    image = tf.reshape(tf.range(12.0), [2, 2, 3])
    np.testing.assert_array_equal(nvp.Squeeze().forward(image)[0, 0], np.arange(12))


def test_only_what_goes_on_is_transformed():
    factor_out = nvp.FactorOut((2, 2, 4), tfb.Scale(2.0), nvp.diagonal_mask)
    y = factor_out.forward(tf.ones([2, 2, 4]))
    np.testing.assert_array_equal(y[0, 0], [2, 1, 1, 2])
    ldj = factor_out.forward_log_det_jacobian(tf.ones([3, 2, 2, 4]))
    np.testing.assert_allclose(ldj, np.full(3, 8 * np.log(2)), rtol=1e-6)


def test_a_mask_that_varies_in_space_is_refused():
    with pytest.raises(ValueError, match="mask: .* last axis only"):
        nvp.FactorOut((4, 4, 4), tfb.Scale(2.0), nvp.checkerboard_mask)
