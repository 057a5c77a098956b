import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfb = tfp.bijectors


def test_only_what_goes_on_is_transformed():
    factor_out = nvp.FactorOut((2, 2, 4), tfb.Scale(2.0), nvp.diagonal_mask)
    y = factor_out.forward(tf.ones([2, 2, 4]))
    np.testing.assert_array_equal(y[0, 0], [2, 1, 1, 2])
    ldj = factor_out.forward_log_det_jacobian(tf.ones([3, 2, 2, 4]))
    np.testing.assert_allclose(ldj, np.full(3, 8 * np.log(2)), rtol=1e-6)


def test_split_and_merge_are_inverse():
    factor_out = nvp.FactorOut((2, 2, 4), tfb.Scale(2.0), nvp.diagonal_mask)
    x = tf.random.stateless_normal([3, 2, 2, 4], seed=[0, 0])
    np.testing.assert_array_equal(factor_out.merge(*factor_out.split(x)), x)


def test_a_mask_that_varies_in_space_is_refused():
    with pytest.raises(ValueError, match="mask: .* last axis only"):
        nvp.FactorOut((4, 4, 4), tfb.Scale(2.0), nvp.checkerboard_mask)


def test_events_with_other_channels_are_refused():
    factor_out = nvp.FactorOut((2, 2, 4), tfb.Scale(2.0))
    with pytest.raises(ValueError, match="x: expected shape"):
        factor_out.forward(tf.ones([2, 2, 3]))
