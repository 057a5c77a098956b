import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.figures import (
    change_attributes,
    conceptual_compression,
    decode_latents,
    encode_images,
    interpolations,
    kept_fractions,
    latent_manifold,
    manifold_animation,
    shuffled_numbers,
)
from tfp_realnvp.figures.latent_space import great_circle, manifold_weights

tfd = tfp.distributions


def test_weights_are_those_of_equation_14_and_their_squares_sum_to_1():
    weights, film = manifold_weights(5), manifold_weights(5, frames=7)
    x, y, time = 2 * np.pi * np.array([3 / 5, 1 / 5, 2 / 7])
    first, second = np.array([np.cos(x), np.sin(x)]), np.array([np.cos(y), np.sin(y)])
    np.testing.assert_allclose(weights[1, 3], np.outer(first, second).ravel())
    np.testing.assert_allclose(film[2, ..., :4], np.cos(time) * weights)
    np.testing.assert_allclose(film[2, ..., 4:], np.sin(time) * weights)
    for found in (weights, film):
        np.testing.assert_allclose(np.square(found).sum(axis=-1), 1)
    # Frames differ evenly, and so do the last and the first.
    lengths = np.linalg.norm(film - np.roll(film, 1, axis=0), axis=-1)
    np.testing.assert_allclose(lengths, 2 * np.sin(np.pi / 7))


def test_the_animation_goes_from_four_images_to_the_other_four(
    by_class, images, labels
):
    frames = manifold_animation(by_class, images, frames=8, angles=4, condition=labels)
    assert frames.shape == (8, 4, 4, 8, 8, 1)
    # Each image under its own condition.
    for frame, part in ((frames[0], images[:4]), (frames[2], images[4:])):
        np.testing.assert_array_equal(frame[[0, 1, 0, 1], [0, 0, 1, 1]], part)
    first = latent_manifold(by_class, images[:4], angles=4, condition=labels[:4])
    np.testing.assert_array_equal(frames[0], first)


def test_images_and_conditions_of_a_pair_are_interpolated_on_the_way(by_class, images):
    pairs = (images[:2], np.array([0, 1])), (images[2:4], np.array([2, 1]))
    (first, one), (second, other) = pairs
    found = interpolations(by_class, first, second, steps=3, condition=(one, other))
    np.testing.assert_array_equal(found[:, [0, -1]], np.stack([first, second], axis=1))
    ends = (encode_images(by_class, x, condition=c) for x, c in pairs)
    mixed = [[0.5, 0, 0.5], [0, 1, 0]]
    middle = decode_latents(by_class, great_circle(*ends, 0.5), condition=mixed)
    np.testing.assert_array_equal(found[:, 1], middle)
    # One condition is that of both images.
    same = interpolations(by_class, first, second, steps=3, condition=[0, 1])
    np.testing.assert_array_equal(same[1], found[1])
    longer = interpolations(by_class, first, second, steps=5, condition=(one, other))
    np.testing.assert_array_equal(longer[:, ::2], found)


def points(seed):
    return np.random.default_rng(seed).normal(size=[5, 4, 4, 2])


def test_directions_and_norms_of_an_arc_change_evenly():
    first, second = points(0), 3 * points(1)
    for place, end in ((0.0, first), (1.0, second)):
        np.testing.assert_allclose(great_circle(first, second, place), end)
    first, second = np.zeros([2, 1, 1, 1, 2])
    first[..., 0], second[..., 1] = 1, 4
    third = great_circle(first, second, 1 / 3).ravel()
    np.testing.assert_allclose(third, [2 * np.cos(np.pi / 6), 2 * np.sin(np.pi / 6)])


@pytest.mark.parametrize(("to", "expected"), [(1, 1), (-1, 0.5), (0, 0.75)])
def test_equal_opposite_and_zero_points_are_joined_straight(to, expected):
    found = great_circle(points(0), to * points(0), 0.25)
    np.testing.assert_allclose(found, expected * points(0))


def test_what_is_drawn_anew_are_the_finest_latents(flow, images):
    assert kept_fractions(flow) == [1, 0.5, 0.25]
    levels = conceptual_compression(flow, images)
    assert levels.shape == (3, 8, 8, 8, 1)
    np.testing.assert_array_equal(levels[0], images)
    split = flow.bijector.bijectors[1].split_latent
    own = split(tf.constant(encode_images(flow, images)))
    for scales in (1, 2):
        # Without noise to add, as the pixels are: rounding is all that differs.
        found = split(tf.constant(encode_images(flow, levels[scales] + 0.5)))
        for i, (part, mine) in enumerate(zip(found, own, strict=True)):
            error = np.abs(part - mine).mean()
            assert (error < 0.1) == (i >= scales), (scales, i, error)


def test_images_are_compressed_under_their_conditions(by_class, images, labels):
    levels = conceptual_compression(by_class, images, kept=[0.5, 1], condition=labels)
    np.testing.assert_array_equal(levels[1], images)
    other = conceptual_compression(by_class, images, kept=[0.5], condition=labels * 0)
    assert np.any(other[0] != levels[0])


def test_images_come_back_under_their_own_condition_alone(by_class, images, labels):
    def changed(new):
        return change_attributes(by_class, images, condition=labels, new_condition=new)

    latents = encode_images(by_class, images, condition=np.eye(3)[labels])
    new = (labels + 1) % 3
    expected = decode_latents(by_class, latents, condition=new)
    np.testing.assert_array_equal(changed(new), expected)
    assert np.all(np.any(expected != images, axis=(1, 2, 3)))
    np.testing.assert_array_equal(changed(labels), images)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_a_shuffle_leaves_nothing_in_its_place(count):
    for seed in range(5):
        numbers = shuffled_numbers(count, seed=seed)
        assert sorted(numbers) == list(range(count))
        assert np.all(numbers != np.arange(count))
        np.testing.assert_array_equal(numbers, shuffled_numbers(count, seed=seed))


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (latent_manifold, {"images": 3}, "images: expected 4, got 3"),
        (latent_manifold, {"images": 4, "angles": 0}, "angles: expected a positive"),
        (manifold_animation, {"images": 4}, "images: expected 8, got 4"),
        (manifold_animation, {"images": 8, "frames": 0}, "frames: expected a positive"),
        (interpolations, {"first": 2, "second": 2, "steps": 1}, "steps: expected at l"),
        (interpolations, {"first": 2, "second": 3}, "second: expected the shape of fi"),
        (conceptual_compression, {"images": 2, "kept": [1, 0.3]}, "kept: .* got 0.3"),
    ],
)
def test_bad_arguments_are_refused(function, arguments, message, flow, images):
    for name in {"images", "first", "second"} & set(arguments):
        arguments = {**arguments, name: images[: arguments[name]]}
    with pytest.raises(ValueError, match=message):
        function(flow, **arguments)


def test_a_flow_without_scales_of_its_own_is_refused():
    base = tfd.Independent(tfd.Normal(tf.zeros([8, 8, 1]), 1.0), 3)
    flow = tfd.TransformedDistribution(base, nvp.PixelLogit())
    with pytest.raises(ValueError, match="RealNVPBijector next to .* got PixelLogit"):
        kept_fractions(flow)
