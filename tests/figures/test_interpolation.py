import numpy as np
import pytest

from tfp_realnvp.figures import decode_latents, encode_images, interpolations
from tfp_realnvp.figures.sphere import great_circle


def test_each_way_begins_and_ends_at_its_images(flow, images):
    found = interpolations(flow, images[:3], images[3:6], steps=5)
    assert found.shape == (3, 5, 8, 8, 1)
    np.testing.assert_array_equal(found[:, 0], images[:3])
    np.testing.assert_array_equal(found[:, -1], images[3:6])


def test_the_way_is_an_arc_in_latent_space(flow, images):
    found = interpolations(flow, images[:3], images[3:6], steps=3, seed=1)
    first = encode_images(flow, images[:3], seed=1)
    second = encode_images(flow, images[3:6], seed=1)
    middle = decode_latents(flow, great_circle(first, second, 0.5))
    np.testing.assert_array_equal(found[:, 1], middle)


def test_conditions_of_a_pair_are_mixed_on_the_way(by_class, images):
    first, second = images[:2], images[2:4]
    found = interpolations(
        by_class, first, second, steps=3, condition=(np.array([0, 1]), np.array([2, 1]))
    )
    np.testing.assert_array_equal(found[:, 0], first)
    np.testing.assert_array_equal(found[:, -1], second)
    latents = [
        encode_images(by_class, x, condition=c)
        for x, c in ((first, [0, 1]), (second, [2, 1]))
    ]
    middle = decode_latents(
        by_class,
        great_circle(*latents, 0.5),
        condition=[[0.5, 0, 0.5], [0, 1, 0]],
    )
    np.testing.assert_array_equal(found[:, 1], middle)


def test_a_condition_can_be_that_of_both_images(by_class, images):
    # Under any condition images come back, but those between do not stay the same.
    one, other = (
        interpolations(by_class, images[:2], images[2:4], steps=3, condition=[0, k])
        for k in (1, 2)
    )
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1, [0, 2]], other[1, [0, 2]])
    assert np.any(one[1, 1] != other[1, 1])


def test_bad_arguments_of_interpolations_are_refused(flow, images):
    with pytest.raises(ValueError, match="steps: expected at least 2, got 1"):
        interpolations(flow, images[:2], images[2:4], steps=1)
    with pytest.raises(ValueError, match="second: expected the shape of first"):
        interpolations(flow, images[:2], images[2:5])
