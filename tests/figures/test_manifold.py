import numpy as np
import pytest

from tfp_realnvp.figures import latent_manifold, manifold_animation
from tfp_realnvp.figures.manifold import manifold_weights


def test_the_four_images_are_a_quarter_of_a_turn_apart(flow, images):
    manifold = latent_manifold(flow, images[:4])
    assert manifold.shape == (8, 8, 8, 8, 1)
    corners = manifold[[0, 2, 0, 2], [0, 0, 2, 2]]
    np.testing.assert_array_equal(corners, images[:4])


def test_half_a_turn_of_both_angles_leads_back(flow, images):
    manifold = latent_manifold(flow, images[:4], angles=4)
    turned = np.roll(manifold, [2, 2], axis=[0, 1])
    np.testing.assert_array_equal(turned, manifold)
    assert np.any(np.roll(manifold, 2, axis=0) != manifold)


def test_images_keep_their_own_conditions_on_the_manifold(by_class, images, labels):
    manifold = latent_manifold(by_class, images[:4], angles=4, condition=labels[:4])
    corners = manifold[[0, 1, 0, 1], [0, 0, 1, 1]]
    np.testing.assert_array_equal(corners, images[:4])


def test_the_animation_goes_from_four_images_to_the_other_four(flow, images):
    frames = manifold_animation(flow, images, frames=8, angles=4)
    assert frames.shape == (8, 4, 4, 8, 8, 1)
    for frame, part in ((frames[0], images[:4]), (frames[2], images[4:])):
        np.testing.assert_array_equal(
            frame[[0, 1, 0, 1], [0, 0, 1, 1]],
            part,
        )
    first = latent_manifold(flow, images[:4], angles=4)
    np.testing.assert_array_equal(frames[0], first)


def test_frames_differ_evenly_and_so_do_the_last_and_the_first():
    weights = manifold_weights(3, frames=7)
    steps = weights - np.roll(weights, 1, axis=0)
    lengths = np.sqrt(np.square(steps).sum(axis=-1))
    np.testing.assert_allclose(lengths, 2 * np.sin(np.pi / 7))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": 3}, "images: expected 4, got 3"),
        ({"images": 4, "angles": 0}, "angles: expected a positive int, got 0"),
    ],
)
def test_bad_arguments_of_a_manifold_are_refused(arguments, message, flow, images):
    arguments = {**arguments, "images": images[: arguments["images"]]}
    with pytest.raises(ValueError, match=message):
        latent_manifold(flow, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": 4}, "images: expected 8, got 4"),
        ({"images": 8, "frames": 0}, "frames: expected a positive int, got 0"),
    ],
)
def test_bad_arguments_of_an_animation_are_refused(arguments, message, flow, images):
    arguments = {**arguments, "images": images[: arguments["images"]]}
    with pytest.raises(ValueError, match=message):
        manifold_animation(flow, **arguments)
