import numpy as np
import pytest

from tfp_realnvp.figures import change_attributes, decode_latents, encode_images
from tfp_realnvp.figures.attribute_change import shuffled_numbers


def test_images_are_decoded_under_the_new_condition(by_class, images, labels):
    new = (labels + 1) % 3
    changed = change_attributes(by_class, images, condition=labels, new_condition=new)
    latents = encode_images(by_class, images, condition=labels)
    expected = decode_latents(by_class, latents, condition=new)
    np.testing.assert_array_equal(changed, expected)
    assert np.all(np.any(changed != images, axis=(1, 2, 3)))


def test_the_same_condition_changes_nothing(by_class, images, labels):
    same = change_attributes(by_class, images, condition=labels, new_condition=labels)
    np.testing.assert_array_equal(same, images)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_a_shuffle_leaves_nothing_in_its_place(count):
    for seed in range(5):
        numbers = shuffled_numbers(count, seed=seed)
        assert sorted(numbers) == list(range(count))
        assert np.all(numbers != np.arange(count))


def test_shuffles_are_repeatable():
    np.testing.assert_array_equal(shuffled_numbers(10), shuffled_numbers(10, seed=0))
    assert np.any(shuffled_numbers(10) != shuffled_numbers(10, seed=1))


def test_bad_arguments_of_a_change_are_refused(flow, by_class, images, labels):
    with pytest.raises(ValueError, match="flow: expected one that takes a condition"):
        change_attributes(flow, images, condition=labels, new_condition=labels)
    with pytest.raises(ValueError, match="^new_condition: expected one for each of 8"):
        change_attributes(by_class, images, condition=labels, new_condition=labels[:2])
    with pytest.raises(ValueError, match="count: expected at least 2"):
        shuffled_numbers(1)
