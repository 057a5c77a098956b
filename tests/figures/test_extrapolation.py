import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.figures import extrapolated_samples, extrapolation, sample_images

tfd = tfp.distributions


def test_images_are_so_many_times_larger(flow):
    images = extrapolated_samples(flow, 2, factor=3, seed=0)
    assert images.shape == (2, 24, 24, 1)
    assert images.dtype == np.uint8
    again = extrapolated_samples(flow, 2, factor=3, seed=0)
    np.testing.assert_array_equal(again, images)
    assert np.any(images[0] != images[1])


def test_factor_1_gives_ordinary_samples(flow):
    np.testing.assert_array_equal(
        extrapolated_samples(flow, 3, factor=1, seed=5),
        sample_images(flow, 3, seed=5),
    )


def test_temperature_0_is_the_image_of_the_mode(flow):
    image = extrapolated_samples(flow, 1, factor=2, temperature=0.0)
    mode = flow.bijector.forward(tf.zeros([1, 16, 16, 1])).numpy()
    np.testing.assert_array_equal(image, np.clip(np.floor(mode), 0, 255))


def test_larger_images_follow_their_condition(by_class):
    images = extrapolated_samples(
        by_class, 2, factor=2, temperature=0.0, condition=[0, 1]
    )
    assert np.any(images[0] != images[1])


def test_what_does_not_fit_in_memory_is_refused_beforehand(flow):
    with pytest.raises(ValueError, match="factor: .* 800000 x 800000 .* GiB are avail"):
        extrapolated_samples(flow, 1, factor=100_000)


def test_where_memory_is_unknown_it_is_tried(flow, monkeypatch):
    monkeypatch.setattr(extrapolation, "available_bytes", lambda: None)
    assert extrapolated_samples(flow, 1, factor=2).shape == (1, 16, 16, 1)
    monkeypatch.setattr(extrapolation, "available_bytes", lambda: 10)
    with pytest.raises(ValueError, match="factor: expected images that fit in memory"):
        extrapolated_samples(flow, 1, factor=2)


@pytest.mark.parametrize("kind", ["learned", "scaled", "other"])
def test_a_base_that_is_not_the_default_one_is_refused(kind):
    zeros = tf.zeros([8, 8, 1])
    base = {
        "learned": lambda: tfd.Normal(tf.Variable(zeros), 1.0),
        "scaled": lambda: tfd.Normal(zeros, 2.0),
        "other": lambda: tfd.Logistic(zeros, 1.0),
    }[kind]()
    flow = nvp.image_flow(
        event_shape=(8, 8, 1),
        filters=4,
        num_blocks=1,
        base=tfd.Independent(base, 3),
    )
    with pytest.raises(ValueError, match="flow: expected the default base distributio"):
        extrapolated_samples(flow, 1, factor=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 1, "factor": 0}, "factor: expected a positive int, got 0"),
        ({"count": 0, "factor": 2}, "count: expected a positive int, got 0"),
    ],
)
def test_bad_arguments_of_extrapolation_are_refused(arguments, message, flow):
    with pytest.raises(ValueError, match=message):
        extrapolated_samples(flow, **arguments)
