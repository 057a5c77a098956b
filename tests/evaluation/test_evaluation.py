import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from pixel_models import images, normal_model, uniform_model
from scipy import special, stats

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageSplit
from tfp_realnvp.evaluation import score_split, summarize

tfb = tfp.bijectors
tfd = tfp.distributions


def test_a_uniform_density_is_exact_whatever_the_noise_and_without_any_error():
    shape = (2, 2, 1)
    half = score_split(uniform_model(high=128.0), images(5, high=127), draws=2)
    np.testing.assert_allclose(half, 7, rtol=1e-6)
    scores = [score_split(uniform_model(shape), images(5, shape), draws=4)] * 2
    assert scores[0].shape == (5, 4) and scores[0].dtype == np.float64
    found = summarize(scores, shape, importance_samples=4)
    assert (found.flows, found.images, found.draws) == (2, 5, 4)
    for name, value in dataclasses.asdict(found).items():
        if "bits_per_dim" in name:
            np.testing.assert_allclose(value, 8, rtol=1e-6)
        elif "error" in name or "spread" in name:
            np.testing.assert_allclose(value, 0, atol=1e-5)


def test_the_noise_is_uniform_over_the_cell_of_a_pixel_and_new_for_every_image():
    # Under this density the score tells the noise: log p falls linearly with it.
    base = tfd.Exponential(tf.ones([1, 1, 1]))
    # From [0, infinity) as it is, by way of the pixels' own logit.
    to_pixels = tfb.Chain([nvp.PixelLogit(), tfb.Invert(nvp.PixelLogit())])
    flow = tfd.TransformedDistribution(tfd.Independent(base, 3), to_pixels)
    same = ImageSplit.from_array(np.full([2000, 1, 1, 1], 3, np.uint8))
    noise = score_split(nvp.FlowModel(flow), same, draws=2) * np.log(2) - 3
    assert 0 <= noise.min() < 0.01 and 0.99 < noise.max() < 1.001
    counts, _ = np.histogram(noise, bins=10, range=(0, 1))
    np.testing.assert_allclose(counts, 400, atol=5 * np.sqrt(400))
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.1
    assert abs(np.corrcoef(noise[1:, 0], noise[:-1, 0])[0, 1]) < 0.1


def test_an_image_gets_the_same_noise_in_any_batch_and_all_need_one_trace(monkeypatch):
    model, split, traces = normal_model((2, 2, 1), scale=1.0), images(10), []
    whole = score_split(model, split, draws=3, batch_size=10)
    parts = model.log_prob_parts

    def counted(*args, **kwargs):
        traces.append(args)
        return parts(*args, **kwargs)

    monkeypatch.setattr(model, "log_prob_parts", counted)
    in_parts = score_split(model, split, draws=3, batch_size=4)
    assert len(traces) == 1
    np.testing.assert_allclose(in_parts, whole, rtol=1e-6)
    first = score_split(model, split, draws=2, batch_size=3, limit=5)
    np.testing.assert_allclose(first, whole[:5, :2], rtol=1e-6)
    other = score_split(model, split, draws=3, batch_size=4, seed=1)
    assert np.all(np.abs(other - whole) > 0)


def test_each_image_is_scored_under_its_own_condition():
    sizes = {"num_scales": 1, "filters": 4, "num_blocks": 1}
    flow = nvp.image_flow(event_shape=(4, 4, 1), condition_size=2, seed=0, **sizes)
    model, pixels = nvp.FlowModel(flow), images(6, (4, 4, 1)).take(6)
    # As made, the networks say nothing yet.
    for i, weight in enumerate(model.trainable_weights):
        weight.assign_add(keras.random.normal(weight.shape, 0.0, 0.1, seed=i))

    def scores(labels):
        split = ImageSplit.from_array(pixels, np.asarray(labels, np.int32))
        return score_split(model, split, draws=1, batch_size=4)[:, 0]

    mixed = scores([0, 1, 0, 1, 1, 0])
    zeros, ones = scores([0] * 6), scores([1] * 6)
    assert np.all(np.abs(zeros - ones) > 1e-4)
    expected = np.where([0, 1, 0, 1, 1, 0], ones, zeros)
    np.testing.assert_allclose(mixed, expected, rtol=1e-5)


def test_an_image_without_density_is_named():
    pixels = np.full([7, 2, 2, 1], 50, np.uint8)
    pixels[5] = 250
    split = ImageSplit.from_array(pixels)
    with pytest.raises(FloatingPointError, match="got -inf for image 5 .draw 0"):
        score_split(uniform_model(high=128.0), split, batch_size=3)


def test_bad_arguments_are_refused():
    for limit in (0, 6):
        with pytest.raises(ValueError, match=f"limit: .* from 1 to 5.* got {limit}"):
            score_split(uniform_model(), images(5), limit=limit)
    model = nvp.FlowModel(tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2)))
    with pytest.raises(ValueError, match="model: expected a flow over pixels"):
        score_split(model, images(5))
    for samples in (0, 4, 7):
        with pytest.raises(ValueError, match="expected a divisor of the 6 draws"):
            summarize([np.zeros([5, 6])], (2, 2, 1), importance_samples=samples)


def test_standard_errors_are_those_of_images_of_seeds_and_of_draws():
    scores = np.random.default_rng(0).normal(3, 1, size=[4, 50, 6])
    found = summarize(list(scores), (8, 8, 3))
    by_draw = scores.mean(axis=(0, 1))
    for value, expected in (
        (found.bits_per_dim, scores.mean()),
        (found.standard_error_over_images, stats.sem(scores.mean(axis=(0, 2)))),
        (found.standard_error_over_seeds, stats.sem(scores.mean(axis=(1, 2)))),
        (found.spread_over_draws, np.std(by_draw, ddof=1)),
    ):
        np.testing.assert_allclose(value, expected)
    assert found.bound_bits_per_dim is None
    single = summarize([np.array([[3.0]])], (8, 8, 3))
    assert single.bits_per_dim == 3
    assert single.standard_error_over_images is None
    assert single.standard_error_over_seeds is single.spread_over_draws is None


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
