import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp.figures import decode_latents, encode_images


def test_images_come_back_from_their_latents(flow, images):
    np.testing.assert_array_equal(
        decode_latents(flow, encode_images(flow, images)), images
    )


def test_images_come_back_under_their_own_condition_alone(by_class, images, labels):
    latents = encode_images(by_class, images, condition=labels)
    own = decode_latents(by_class, latents, condition=labels)
    np.testing.assert_array_equal(own, images)
    other = decode_latents(by_class, latents, condition=(labels + 1) % 3)
    assert np.all(np.any(other != images, axis=(1, 2, 3)))


def test_batches_make_no_difference(by_class, images, labels):
    whole = encode_images(by_class, images, condition=labels)
    parts = encode_images(by_class, images, condition=labels, batch_size=3)
    np.testing.assert_allclose(parts, whole, atol=1e-4)
    np.testing.assert_array_equal(
        decode_latents(by_class, whole, condition=labels, batch_size=3), images
    )


def test_labels_mean_the_same_as_one_hot_vectors(by_class, images, labels):
    np.testing.assert_array_equal(
        encode_images(by_class, images, condition=labels),
        encode_images(by_class, images, condition=np.eye(3)[labels]),
    )


def test_floating_images_are_taken_as_they_are(flow, images):
    pixels = images + np.float32(0.25)
    expected = flow.bijector.inverse(tf.constant(pixels))
    found = encode_images(flow, pixels.astype(np.float64), seed=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_jitter_depends_on_the_seed_and_the_place_alone(flow, images):
    latents = encode_images(flow, images, seed=1)
    np.testing.assert_allclose(
        encode_images(flow, images[:3], seed=1), latents[:3], atol=1e-4
    )
    assert np.abs(encode_images(flow, images, seed=2) - latents).max() > 1e-3


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros([2, 8, 8, 3], np.uint8), r"images: expected shape \(N, 8, 8, 1\)"),
        (np.zeros([0, 8, 8, 1], np.uint8), "with N > 0, got"),
        (np.zeros([2, 8, 8, 1], np.int32), "images: expected uint8 or floating, got"),
    ],
)
def test_what_are_no_images_of_the_flow_is_refused(bad, message, flow):
    with pytest.raises(ValueError, match=message):
        encode_images(flow, bad)


def test_latents_of_another_shape_are_refused(flow):
    with pytest.raises(ValueError, match="latents: expected shape"):
        decode_latents(flow, np.zeros([2, 8, 4, 1], np.float32))


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (None, r"condition: expected integer labels in \[0, 3\)"),
        ([0, 1, 3, 0, 0, 0, 0, 0], "got labels from 0 to 3"),
        ([0, 1, 2], r"condition: expected one for each of 8 images, got shape \(3,\)"),
        (np.ones([8, 2]), "got float64 of shape"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(condition, message, by_class, images):
    with pytest.raises(ValueError, match=message):
        encode_images(by_class, images, condition=condition)


def test_an_unconditional_flow_refuses_a_condition(flow, images, labels):
    with pytest.raises(ValueError, match="condition: expected none"):
        encode_images(flow, images, condition=labels)
