import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp


def test_inverse_is_the_logit_of_the_squeezed_pixel():
    pixels = np.array([0.0, 1.0, 127.5, 255.0, 256.0])
    p = 0.05 + 0.9 * pixels / 256
    actual = nvp.PixelLogit().inverse(tf.constant(pixels))
    np.testing.assert_allclose(actual, np.log(p / (1 - p)), rtol=1e-12)


def test_extreme_latents_give_finite_pixels_that_come_back_finite():
    logit = nvp.PixelLogit(validate_args=True)
    latents = tf.constant([-1e3, -20.0, 20.0, 1e3])
    pixels = logit.forward(latents)
    assert np.all(np.isfinite(pixels))
    assert np.all(np.isfinite(logit.inverse(tf.identity(pixels))))
    assert np.all(np.isfinite(logit.forward_log_det_jacobian(latents, event_ndims=0)))


@pytest.mark.parametrize("value", [np.nan, 300.0, -15.0, np.inf])
def test_values_that_are_no_pixels_have_no_density_and_are_refused_if_asked_to(value):
    logit = nvp.PixelLogit()
    for method in (logit.inverse, logit.inverse_log_det_jacobian):
        np.testing.assert_array_equal(np.isnan(method([255.99, value])), [False, True])
    inverse = nvp.PixelLogit(validate_args=True).inverse
    for function in (inverse, tf.function(inverse)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="pixels: expected va"):
            function(tf.constant([1.0, value]))
