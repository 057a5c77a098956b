import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from pixel_models import images, normal_model, uniform_model

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageSplit
from tfp_realnvp.evaluation.split_scores import score_split

tfd = tfp.distributions


def test_a_uniform_density_costs_eight_bits_whatever_the_jitter():
    scores = score_split(uniform_model(), images(5), draws=2)
    assert scores.shape == (5, 2) and scores.dtype == np.float64
    np.testing.assert_allclose(scores, 8, rtol=1e-6)
    half = score_split(uniform_model(high=128.0), images(5, high=127), draws=2)
    np.testing.assert_allclose(half, 7, rtol=1e-6)


def test_the_jitter_is_uniform_over_the_cell_of_a_pixel_and_new_for_every_image():
    # Under this density the score tells the jitter: log p falls linearly with it.
    base = tfd.Exponential(tf.ones([1, 1, 1]))
    to_pixels = tfp.bijectors.Chain(
        # From [0, infinity) as it is, by way of the pixels' own logit.
        [nvp.PixelLogit(), tfp.bijectors.Invert(nvp.PixelLogit())]
    )
    model = nvp.FlowModel(
        tfd.TransformedDistribution(tfd.Independent(base, 3), to_pixels)
    )
    same = ImageSplit.from_array(np.full([2000, 1, 1, 1], 3, np.uint8))
    jitter = score_split(model, same, draws=2) * np.log(2) - 3
    assert 0 <= jitter.min() < 0.01 and 0.99 < jitter.max() < 1.001
    counts, _ = np.histogram(jitter, bins=10, range=(0, 1))
    np.testing.assert_allclose(counts, 400, atol=5 * np.sqrt(400))
    assert abs(np.corrcoef(jitter.T)[0, 1]) < 0.1
    assert abs(np.corrcoef(jitter[1:, 0], jitter[:-1, 0])[0, 1]) < 0.1


def test_an_image_gets_the_same_jitter_in_any_batch():
    model, split = normal_model((2, 2, 1), scale=1.0), images(10)
    whole = score_split(model, split, draws=3, batch_size=10)
    parts = score_split(model, split, draws=3, batch_size=4)
    np.testing.assert_allclose(parts, whole, rtol=1e-6)
    first = score_split(model, split, draws=2, batch_size=3, limit=5)
    np.testing.assert_allclose(first, whole[:5, :2], rtol=1e-6)
    other = score_split(model, split, draws=3, batch_size=4, seed=1)
    assert np.all(np.abs(other - whole) > 0)


def test_batches_of_two_sizes_and_all_draws_need_one_trace(monkeypatch):
    model, traces = normal_model((2, 2, 1)), []
    parts = model.log_prob_parts

    def counted(*args, **kwargs):
        traces.append(args)
        return parts(*args, **kwargs)

    monkeypatch.setattr(model, "log_prob_parts", counted)
    assert score_split(model, images(10), draws=3, batch_size=4).shape == (10, 3)
    assert len(traces) == 1


def conditional_model():
    flow = nvp.image_flow(
        event_shape=(4, 4, 1),
        num_scales=1,
        filters=4,
        num_blocks=1,
        condition_size=2,
        seed=0,
    )
    model = nvp.FlowModel(flow)
    # As made, the networks say nothing yet.
    for i, weight in enumerate(model.trainable_weights):
        weight.assign_add(keras.random.normal(weight.shape, 0.0, 0.1, seed=i))
    return model


def test_each_image_is_scored_under_its_own_condition():
    model, pixels = conditional_model(), images(6, (4, 4, 1)).take(6)

    def scores(labels):
        split = ImageSplit.from_array(pixels, np.asarray(labels, np.int32))
        return score_split(model, split, draws=1, batch_size=4)[:, 0]

    mixed = scores([0, 1, 0, 1, 1, 0])
    zeros, ones = scores([0] * 6), scores([1] * 6)
    assert np.all(np.abs(zeros - ones) > 1e-4)
    expected = np.where([0, 1, 0, 1, 1, 0], ones, zeros)
    np.testing.assert_allclose(mixed, expected, rtol=1e-5)


def test_an_image_without_density_is_named():
    model = uniform_model(high=128.0)
    pixels = np.full([7, 2, 2, 1], 50, np.uint8)
    pixels[5] = 250
    with pytest.raises(FloatingPointError, match="got -inf for image 5 .draw 0"):
        score_split(model, ImageSplit.from_array(pixels), batch_size=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"draws": 0}, "draws: expected a positive int, got 0"),
        ({"batch_size": 0}, "batch_size: expected a positive int, got 0"),
        ({"limit": 6}, "limit: expected 1 to 5, the images there are; got 6"),
        ({"limit": 0}, "limit: expected 1 to 5, the images there are; got 0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        score_split(uniform_model(), images(5), **arguments)


def test_images_that_do_not_fit_the_flow_are_refused():
    with pytest.raises(ValueError, match="x: expected batches of shape"):
        score_split(uniform_model(), images(5, (4, 4, 1)))
    with pytest.raises(ValueError, match="pairs .x, condition."):
        score_split(conditional_model(), images(5, (4, 4, 1)))


def test_a_flow_over_vectors_has_no_bits_per_dim():
    model = nvp.FlowModel(tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2)))
    with pytest.raises(ValueError, match="model: expected a flow over pixels"):
        score_split(model, images(5))
