import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp


def test_inverse_is_the_logit_of_the_squeezed_pixel():
    pixels = np.array([0.0, 1.0, 127.5, 255.0, 256.0])
    p = 0.05 + 0.9 * pixels / 256
    expected = np.log(p / (1 - p))
    actual = nvp.PixelLogit().inverse(tf.constant(pixels))
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_extreme_latents_give_finite_pixels_that_come_back_finite():
    logit = nvp.PixelLogit(validate_args=True)
    pixels = logit.forward(tf.constant([-1e3, -20.0, 20.0, 1e3]))
    assert np.all(np.isfinite(pixels))
    assert np.all(np.isfinite(logit.inverse(tf.identity(pixels))))
    ldj = logit.forward_log_det_jacobian(tf.constant([-1e3, 1e3]), event_ndims=0)
    assert np.all(np.isfinite(ldj))


@pytest.mark.parametrize("bad", [np.nan, 300.0, -15.0, np.inf])
@pytest.mark.parametrize("in_graph", [False, True])
def test_values_that_are_no_pixels_are_refused_if_asked_to(bad, in_graph):
    inverse = nvp.PixelLogit(validate_args=True).inverse
    inverse = tf.function(inverse) if in_graph else inverse
    with pytest.raises(tf.errors.InvalidArgumentError, match="pixels: expected values"):
        inverse(tf.constant([1.0, bad]))


@pytest.mark.parametrize("alpha", [0.0, 0.5, -1.0])
def test_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha: expected a value in"):
        nvp.PixelLogit(alpha)


@pytest.mark.parametrize("value", [300.0, -20.0, np.nan, np.inf])
def test_values_that_are_no_pixels_have_no_density(value):
    logit = nvp.PixelLogit()
    assert np.isnan(logit.inverse(value)) and np.isnan(
        logit.inverse_log_det_jacobian(value)
    )
    assert np.isfinite(logit.inverse_log_det_jacobian([0.0, 255.99])).all()
