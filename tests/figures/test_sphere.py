import numpy as np
import pytest

from tfp_realnvp.figures.sphere import great_circle, sphere_weights


def test_two_angles_weight_as_in_equation_14():
    x, y = 0.3, 1.1
    expected = [
        np.cos(x) * np.cos(y),
        np.cos(x) * np.sin(y),
        np.sin(x) * np.cos(y),
        np.sin(x) * np.sin(y),
    ]
    np.testing.assert_allclose(sphere_weights(x, y), expected)


def test_the_first_of_three_angles_joins_two_manifolds():
    weights = sphere_weights(0.4, 0.3, 1.1)
    np.testing.assert_allclose(weights[:4], np.cos(0.4) * sphere_weights(0.3, 1.1))
    np.testing.assert_allclose(weights[4:], np.sin(0.4) * sphere_weights(0.3, 1.1))


@pytest.mark.parametrize("angles", [[0.7], [0.7, 2.0], [0.7, 2.0, 5.0]])
def test_squares_of_weights_sum_to_1(angles):
    np.testing.assert_allclose(np.square(sphere_weights(*angles)).sum(), 1)


def points(seed):
    return np.random.default_rng(seed).normal(size=[5, 4, 4, 2])


def norm(x):
    return np.sqrt(np.square(x).sum(axis=(1, 2, 3)))


def test_the_way_begins_and_ends_at_the_points():
    np.testing.assert_allclose(great_circle(points(0), points(1), 0.0), points(0))
    np.testing.assert_allclose(great_circle(points(0), points(1), 1.0), points(1))


def test_norms_go_evenly_from_one_to_the_other():
    found = great_circle(points(0), 3 * points(1), 0.25)
    expected = 0.75 * norm(points(0)) + 0.25 * norm(3 * points(1))
    np.testing.assert_allclose(norm(found), expected)


def test_directions_turn_evenly():
    first, second = np.zeros([2, 1, 1, 1, 2])
    first[..., 0], second[..., 1] = 1, 1
    third = np.pi / 6
    np.testing.assert_allclose(
        great_circle(first, second, 1 / 3).ravel(), [np.cos(third), np.sin(third)]
    )


def test_equal_opposite_and_zero_points_are_joined_straight():
    x = points(0)
    np.testing.assert_allclose(great_circle(x, x, 0.3), x)
    np.testing.assert_allclose(great_circle(x, -x, 0.25), 0.5 * x)
    np.testing.assert_allclose(great_circle(x, 0 * x, 0.25), 0.75 * x)
