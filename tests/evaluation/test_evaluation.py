import numpy as np
import pytest
from pixel_models import images, normal_model, uniform_model
from scipy import special, stats

from tfp_realnvp.data import ImageSplit
from tfp_realnvp.evaluation.evaluation import summarize
from tfp_realnvp.evaluation.split_scores import score_split


def test_a_uniform_density_is_exact_without_any_error():
    shape = (2, 2, 1)
    scores = [score_split(uniform_model(shape), images(5, shape), draws=4)] * 2
    found = summarize(scores, shape, importance_samples=4)
    assert (found.flows, found.images, found.draws) == (2, 5, 4)
    for value in (found.bits_per_dim, found.bound_bits_per_dim):
        np.testing.assert_allclose(value, 8, rtol=1e-6)
    for error in (
        found.standard_error_over_images,
        found.standard_error_over_seeds,
        found.spread_over_draws,
        found.bound_standard_error_over_images,
        found.bound_standard_error_over_seeds,
    ):
        np.testing.assert_allclose(error, 0, atol=1e-5)


def test_standard_errors_are_those_of_images_of_seeds_and_of_draws():
    scores = np.random.default_rng(0).normal(3, 1, size=[4, 50, 6])
    found = summarize(list(scores), (8, 8, 3))
    np.testing.assert_allclose(found.bits_per_dim, scores.mean())
    np.testing.assert_allclose(
        found.standard_error_over_images, stats.sem(scores.mean(axis=(0, 2)))
    )
    np.testing.assert_allclose(
        found.standard_error_over_seeds, stats.sem(scores.mean(axis=(1, 2)))
    )
    by_draw = scores.mean(axis=(0, 1))
    np.testing.assert_allclose(found.spread_over_draws, np.std(by_draw, ddof=1))
    assert found.bound_bits_per_dim is None


def test_what_there_is_one_of_has_no_standard_error():
    found = summarize([np.array([[3.0]])], (8, 8, 3))
    assert found.bits_per_dim == 3
    assert found.standard_error_over_images is None
    assert found.standard_error_over_seeds is None
    assert found.spread_over_draws is None


def test_the_bound_is_tighter_than_the_mean_and_grows_with_its_draws():
    # Enough nats for exp of them to underflow in any precision.
    scores = np.random.default_rng(0).normal(4, 0.01, size=[2, 20, 8])
    shape = (64, 64, 3)
    found = [summarize(list(scores), shape, importance_samples=k) for k in (1, 2, 4, 8)]
    bounds = [f.bound_bits_per_dim for f in found]
    np.testing.assert_allclose(bounds[0], found[0].bits_per_dim, rtol=1e-12)
    assert np.all(np.diff(bounds) < 0)
    # The best of all draws can be no worse than their mean density.
    assert bounds[-1] > scores.min(axis=2).mean()
    np.testing.assert_allclose(
        bounds[-1], scores.min(axis=2).mean() + np.log2(8) / np.prod(shape), atol=1e-4
    )


def test_mean_and_bound_are_those_of_quadrature_for_a_single_pixel():
    scale, pixel, count = 0.01, 127, 4000

    def log_density(y):
        p = 0.05 + 0.9 * y / 256
        slope = 0.9 / 256 / (p * (1 - p))
        return stats.norm.logpdf(special.logit(p), scale=scale) + np.log(slope)

    edges = special.logit(0.05 + 0.9 * np.array([pixel, pixel + 1]) / 256)
    exact = np.log2(np.diff(stats.norm.cdf(edges, scale=scale))[0])
    nodes, weights = np.polynomial.legendre.leggauss(40)
    grid, weights = pixel + (nodes + 1) / 2, weights / 2
    density = np.exp(log_density(grid))
    mean = weights @ np.log2(density)
    of_two = np.log2((density[:, None] + density) / 2)
    np.testing.assert_allclose(np.log2(weights @ density), exact, rtol=1e-9)

    split = ImageSplit.from_array(np.full([count, 1, 1, 1], pixel, np.uint8))
    scores = score_split(normal_model(scale=scale), split, draws=32, batch_size=count)
    for samples, expected in ((1, mean), (2, weights @ of_two @ weights)):
        found = summarize([scores], (1, 1, 1), importance_samples=samples)
        error = found.bound_standard_error_over_images
        assert error < 0.03 * abs(exact - mean)
        np.testing.assert_allclose(-found.bound_bits_per_dim, expected, atol=4 * error)
    many = summarize([scores], (1, 1, 1), importance_samples=32)
    assert mean < -many.bound_bits_per_dim < exact
    np.testing.assert_allclose(
        -many.bound_bits_per_dim, exact, atol=0.1 * (exact - mean)
    )


def test_draws_that_do_not_fall_into_groups_are_refused():
    scores = [np.zeros([5, 6])]
    for samples in (0, 4, 7):
        with pytest.raises(ValueError, match="expected a divisor of the 6 draws"):
            summarize(scores, (2, 2, 1), importance_samples=samples)


def test_flows_scored_on_different_images_are_refused():
    with pytest.raises(ValueError, match="scores: expected arrays of one shape"):
        summarize([np.zeros([5, 3]), np.zeros([4, 3])], (2, 2, 1))
