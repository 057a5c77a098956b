import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.figures import extrapolated_samples, sample_images, to_uint8

tfd = tfp.distributions


@pytest.mark.parametrize("factor", [1, 2])
def test_samples_are_repeatable_and_temperature_0_is_the_image_of_the_mode(
    flow, factor
):
    def drawn(**arguments):
        return extrapolated_samples(flow, 3, factor=factor, **arguments)

    side = 8 * factor
    images = drawn(seed=1)
    assert images.dtype == np.uint8 and images.shape == (3, side, side, 1)
    np.testing.assert_array_equal(images, drawn(seed=1))
    assert np.any(images != drawn(seed=2)) and np.any(images[0] != images[1])
    mode = to_uint8(flow.bijector.forward(tf.zeros([1, side, side, 1])).numpy())
    cold = drawn(temperature=0.0)
    np.testing.assert_array_equal(cold, np.repeat(mode, 3, axis=0))
    if factor == 1:
        np.testing.assert_array_equal(images, sample_images(flow, 3, seed=1))


@pytest.mark.parametrize("factor", [1, 2])
def test_samples_follow_their_condition(by_class, factor):
    samples = extrapolated_samples(
        by_class, 3, factor=factor, temperature=0.0, condition=[0, 0, 1]
    )
    np.testing.assert_array_equal(samples[0], samples[1])
    assert np.any(samples[0] != samples[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count: expected a positive int, got 0"),
        ({"temperature": -1.0}, "temperature: expected 0 or more"),
        ({"temperature": float("nan")}, "temperature: expected 0 or more"),
        ({"condition": [0, 1]}, "condition: expected one for each of 4"),
        ({"condition": None}, "condition: expected integer labels"),
        ({"factor": 0}, "factor: expected a positive int, got 0"),
        ({"factor": 100_000}, "factor: expected images that fit .* GiB are available"),
    ],
)
def test_bad_arguments_of_samples_are_refused(arguments, message, by_class):
    good = {"count": 4, "condition": [0, 1, 2, 0]}
    draw = extrapolated_samples if "factor" in arguments else sample_images
    with pytest.raises(ValueError, match=message):
        draw(by_class, **{**good, **arguments})


@pytest.mark.parametrize("kind", ["learned", "scaled", "other"])
def test_a_base_that_is_not_the_default_one_is_refused(kind):
    zeros = tf.zeros([8, 8, 1])
    base = {
        "learned": lambda: tfd.Normal(tf.Variable(zeros), 1.0),
        "scaled": lambda: tfd.Normal(zeros, 2.0),
        "other": lambda: tfd.Logistic(zeros, 1.0),
    }[kind]()
    base = tfd.Independent(base, 3)
    flow = nvp.image_flow(event_shape=(8, 8, 1), filters=4, num_blocks=1, base=base)
    with pytest.raises(ValueError, match="flow: expected the default base distributio"):
        extrapolated_samples(flow, 1, factor=2)
