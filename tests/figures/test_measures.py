import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.figures import image_bits_per_dim, psnr

tfd = tfp.distributions


def test_a_density_that_is_no_number_is_an_error_and_no_figure():
    flow = nvp.image_flow(event_shape=(4, 4, 1), filters=4, num_blocks=1)
    for variable in flow.trainable_variables:
        variable.assign(np.nan * variable)
    with pytest.raises(FloatingPointError, match="NaN for image 0 of 2"):
        image_bits_per_dim(flow, np.zeros([2, 4, 4, 1], np.uint8))


def test_psnr_has_its_closed_form():
    a = np.full([3, 4, 4, 3], 100, np.uint8)
    b = a.copy()
    b[1] += 10
    b[2, :2] -= 20
    expected = [np.inf, 20 * np.log10(255 / 10), 20 * np.log10(255 / np.sqrt(200))]
    np.testing.assert_allclose(psnr(a, b), expected)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((3, 4, 4, 1), np.uint8), ((3, 4, 4, 3), np.float32)]
)
def test_what_are_not_8_bit_images_of_one_shape_have_no_psnr(shape, dtype):
    with pytest.raises(ValueError, match="a, b: expected uint8 images of one shape"):
        psnr(np.zeros([3, 4, 4, 3], np.uint8), np.zeros(shape, dtype))


def test_a_uniform_density_costs_8_bits(images):
    zeros = tf.zeros([8, 8, 1])
    uniform = tfd.Independent(tfd.Uniform(zeros, zeros + 256), 3)
    np.testing.assert_allclose(image_bits_per_dim(uniform, images), 8, rtol=1e-6)


def test_each_image_costs_what_the_flow_says_under_its_condition(
    by_class, images, labels
):
    pixels = images + np.float32(0.5)
    log_prob = by_class.log_prob(
        tf.constant(pixels), bijector_kwargs={"condition": labels}
    )
    found = image_bits_per_dim(by_class, pixels, condition=labels, batch_size=3)
    np.testing.assert_allclose(found, -log_prob / (64 * np.log(2)), rtol=1e-5)
    other = image_bits_per_dim(by_class, pixels, condition=(labels + 1) % 3)
    assert np.all(np.abs(other - found) > 1e-4)
