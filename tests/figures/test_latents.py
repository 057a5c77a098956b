import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.data import progress
from tfp_realnvp.figures import decode_latents, encode_images, image_bits_per_dim

tfd = tfp.distributions


def test_images_come_back_from_their_latents(flow, images):
    latents = encode_images(flow, images)
    np.testing.assert_array_equal(decode_latents(flow, latents), images)


def test_images_come_back_under_their_own_condition_alone(by_class, images, labels):
    latents = encode_images(by_class, images, condition=labels)
    vectors = encode_images(by_class, images, condition=np.eye(3)[labels])
    np.testing.assert_array_equal(vectors, latents)
    own = decode_latents(by_class, latents, condition=labels)
    np.testing.assert_array_equal(own, images)
    other = decode_latents(by_class, latents, condition=(labels + 1) % 3)
    assert np.all(np.any(other != images, axis=(1, 2, 3)))


def test_batches_make_no_difference(by_class, images, labels, capsys, monkeypatch):
    whole = encode_images(by_class, images, condition=labels)
    monkeypatch.setattr(progress, "_IN_A_FILE", 0.0)
    parts = encode_images(by_class, images, condition=labels, batch_size=3)
    # What takes long says how far it is.
    assert capsys.readouterr().out == "3 of 8 images\n6 of 8 images\n"
    np.testing.assert_allclose(parts, whole, atol=1e-4)
    decoded = decode_latents(by_class, whole, condition=labels, batch_size=3)
    np.testing.assert_array_equal(decoded, images)


def test_floating_images_are_taken_as_they_are(flow, images):
    pixels = images + np.float32(0.25)
    expected = flow.bijector.inverse(tf.constant(pixels))
    found = encode_images(flow, pixels.astype(np.float64), seed=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_noise_depends_on_the_seed_and_the_place_alone(flow, images):
    latents = encode_images(flow, images, seed=1)
    few = encode_images(flow, images[:3], seed=1)
    np.testing.assert_allclose(few, latents[:3], atol=1e-4)
    assert np.abs(encode_images(flow, images, seed=2) - latents).max() > 1e-3


def test_a_uniform_density_costs_8_bits_and_nan_is_an_error(images):
    zeros = tf.zeros([8, 8, 1])
    uniform = tfd.Independent(tfd.Uniform(zeros, zeros + 256), 3)
    np.testing.assert_allclose(image_bits_per_dim(uniform, images), 8, rtol=1e-6)
    nan = tfd.Independent(tfd.Normal(zeros, np.nan), 3)
    with pytest.raises(FloatingPointError, match="NaN for image 0 of 8"):
        image_bits_per_dim(nan, images)


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


@pytest.mark.parametrize(
    ("images", "condition", "message"),
    [
        (np.zeros([2, 8, 8, 3], np.uint8), [0, 1], r"images: expected shape \(N, 8, 8"),
        (np.zeros([8, 8, 1], np.uint8), [0, 1], r"with N > 0, got \(8, 8, 1\)"),
        (np.zeros([2, 8, 8, 1], int), [0, 1], "images: expected uint8 or floating"),
        (np.zeros([2, 8, 8, 1]), None, r"condition: expected integer labels in \[0, 3"),
        (np.zeros([2, 8, 8, 1]), [0, 3], "got labels from 0 to 3"),
        (np.zeros([2, 8, 8, 1]), [0], "condition: expected one for each of 2 images"),
        (np.zeros([2, 8, 8, 1]), np.ones([2, 2]), "got float64 of shape"),
    ],
)
def test_what_does_not_fit_the_flow_is_refused(images, condition, message, by_class):
    with pytest.raises(ValueError, match=message):
        encode_images(by_class, images, condition=condition)


def test_latents_of_another_shape_and_conditions_too_many_are_refused(flow, images):
    with pytest.raises(ValueError, match="latents: expected shape"):
        decode_latents(flow, np.zeros([2, 8, 4, 1], np.float32))
    with pytest.raises(ValueError, match="condition: expected none"):
        encode_images(flow, images, condition=np.zeros(8, int))
