import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.data import progress
from tfp_realnvp.figures import (
    decode_latents,
    encode_images,
    extrapolated_samples,
    image_bits_per_dim,
    sample_images,
    to_uint8,
)

tfd = tfp.distributions


def test_batches_make_no_difference(by_class, images, labels, capsys, monkeypatch):
    whole = encode_images(by_class, images, condition=labels)
    monkeypatch.setattr(progress, "_IN_A_FILE", 0.0)
    parts = encode_images(by_class, images, condition=labels, batch_size=3)
    # What takes long says how far it is.
    assert capsys.readouterr().out == "3 of 8 images\n6 of 8 images\n"
    np.testing.assert_allclose(parts, whole, atol=1e-4)
    decoded = decode_latents(by_class, whole, condition=labels, batch_size=3)
    np.testing.assert_array_equal(decoded, images)


def test_noise_is_for_8_bit_images_and_depends_on_seed_and_place_alone(flow, images):
    pixels = images + np.float32(0.25)
    expected = flow.bijector.inverse(tf.constant(pixels))
    found = encode_images(flow, pixels.astype(np.float64), seed=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
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
    condition = {"condition": labels}
    log_prob = by_class.log_prob(tf.constant(pixels), bijector_kwargs=condition)
    found = image_bits_per_dim(by_class, pixels, condition=labels, batch_size=3)
    np.testing.assert_allclose(found, -log_prob / (64 * np.log(2)), rtol=1e-5)


IMAGES, LATENTS = np.zeros([2, 8, 8, 1], np.uint8), np.zeros([2, 8, 8, 1], np.float32)
BAD = [
    (encode_images, [np.zeros([2, 8, 8, 3], np.uint8)], r"images: .* \(N, 8, 8, 1\)"),
    (encode_images, [IMAGES[:0]], r"with N > 0, got \(0, 8, 8, 1\)"),
    (encode_images, [IMAGES, None], r"condition: expected integer labels in \[0, 3"),
    (encode_images, [IMAGES, [0, 3]], "got labels from 0 to 3"),
    (encode_images, [IMAGES, [0]], "condition: expected one for each of 2 images"),
    (encode_images, [IMAGES, np.ones([2, 2])], "got float64 of shape"),
    (decode_latents, [LATENTS[:, :4]], "latents: expected shape"),
    (decode_latents, [LATENTS.astype(str)], "latents: expected an array of numbers"),
    (decode_latents, [LATENTS * np.nan], "pixels: expected numbers, got NaN in 128"),
    (sample_images, [0], "count: expected a positive int, got 0"),
    (sample_images, [2, [0, 1, 2]], "condition: expected one for each of 2"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), BAD)
def test_what_does_not_fit_the_flow_is_refused(function, arguments, message, by_class):
    values, *condition = arguments
    (condition,) = condition or [[0, 1]]
    with pytest.raises(ValueError, match=message):
        function(by_class, values, condition=condition)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 100_000}, "factor: expected images that fit .* GiB are available"),
        ({"factor": 1, "temperature": np.nan}, "temperature: expected 0 or more"),
        ({"factor": 1, "condition": [0]}, "condition: expected none"),
    ],
)
def test_samples_out_of_range_are_refused(options, message, flow):
    with pytest.raises(ValueError, match=message):
        extrapolated_samples(flow, 1, **options)


@pytest.mark.parametrize("factor", [1, 2])
def test_samples_are_repeatable_and_temperature_0_is_the_image_of_the_mode(
    flow, factor
):
    def drawn(**arguments):
        return extrapolated_samples(flow, 3, factor=factor, **arguments)

    side = 8 * factor
    images = drawn(seed=1)
    assert images.dtype == np.uint8 and images.shape == (3, side, side, 1)
    np.testing.assert_array_equal(images, drawn(seed=1))
    assert np.any(images != drawn(seed=2)) and np.any(images[0] != images[1])
    mode = to_uint8(flow.bijector.forward(tf.zeros([1, side, side, 1])).numpy())
    cold = drawn(temperature=0.0)
    np.testing.assert_array_equal(cold, np.repeat(mode, 3, axis=0))
    if factor == 1:
        np.testing.assert_array_equal(images, sample_images(flow, 3, seed=1))


def test_samples_of_a_flow_with_networks_of_another_make_can_be_larger():
    def network(outputs):
        return keras.layers.Conv2D(outputs, 3, padding="same")

    flow = nvp.image_flow(event_shape=(8, 8, 1), num_scales=1, conditioner=network)
    assert extrapolated_samples(flow, 1, factor=2).shape == (1, 16, 16, 1)


@pytest.mark.parametrize("factor", [1, 2])
def test_samples_follow_their_condition(by_class, factor):
    samples = extrapolated_samples(
        by_class, 3, factor=factor, temperature=0.0, condition=[0, 0, 1]
    )
    np.testing.assert_array_equal(samples[0], samples[1])
    assert np.any(samples[0] != samples[2])


@pytest.mark.parametrize(
    "base",
    [
        lambda zeros: tfd.Normal(tf.Variable(zeros), 1.0),
        lambda zeros: tfd.Normal(zeros, 2.0),
        lambda zeros: tfd.Logistic(zeros, 1.0),
    ],
    ids=["learned", "scaled", "other"],
)
def test_a_base_that_is_not_the_default_one_is_refused(base):
    base = tfd.Independent(base(tf.zeros([8, 8, 1])), 3)
    flow = nvp.image_flow(event_shape=(8, 8, 1), filters=4, num_blocks=1, base=base)
    with pytest.raises(ValueError, match="flow: expected the default base distributio"):
        extrapolated_samples(flow, 1, factor=2)
