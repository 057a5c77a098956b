import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp
from tfp_realnvp.nets.fused_norm import norm_by, norm_by_batch, norm_by_moving

EPSILON, MOMENTUM = 1e-4, 0.7
IMAGES = tf.TensorSpec([None, None, None, 3])
ANY_SIZE = [[IMAGES, *[tf.TensorSpec([3])] * 4], IMAGES]


def plain(inputs, scale, offset, moving_mean, moving_variance):
    """Appendix E, written down as it is there."""
    mean = tf.reduce_mean(inputs, [0, 1, 2])
    variance = tf.reduce_mean(tf.square(inputs - mean), [0, 1, 2])
    mean = MOMENTUM * moving_mean + (1 - MOMENTUM) * mean
    variance = MOMENTUM * moving_variance + (1 - MOMENTUM) * variance
    return plain_norm(inputs, scale, offset, mean, variance), mean, variance


def fused(*arguments):
    return norm_by_moving(*arguments, MOMENTUM, EPSILON)


def arguments():
    rng = np.random.default_rng(0)
    inputs = rng.normal(2.0, 3.0, size=(4, 5, 6, 3))
    vectors = [rng.uniform(0.5, 2.0, size=3) for _ in range(4)]
    return [tf.constant(a, tf.float32) for a in (inputs, *vectors)]


def values_and_gradients(function, inputs, weights):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, mean, variance = function(*inputs)
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * weights)
    return [outputs, mean, variance], tape.gradient(loss, inputs[:3])


def assert_close(actual, expected, atol):
    """Compares by the largest value of each."""
    for value, wanted in zip(*map(tf.nest.flatten, (actual, expected)), strict=True):
        value, scale = tf.cast(value, tf.float32), np.abs(wanted).max()
        np.testing.assert_allclose(value / scale, wanted / scale, atol=atol)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: f,
        tf.function,
        lambda f: tf.function(f, input_signature=ANY_SIZE),
        lambda f: tf.function(f, jit_compile=True),
    ],
    ids=["eager", "graph", "graph of any size", "XLA"],
)
def test_values_and_gradients_are_those_of_the_formulas(wrap):
    inputs = arguments()
    weights = tf.random.stateless_normal(inputs[0].shape, [0, 1])
    run = wrap(lambda inputs, weights: values_and_gradients(fused, inputs, weights))
    expected = values_and_gradients(plain, inputs, weights)
    assert_close(run(inputs, weights), expected, 2e-6)


def test_bfloat16_inputs_keep_the_accuracy_of_bfloat16():
    inputs, *vectors = arguments()
    inputs = tf.cast(inputs, tf.bfloat16)
    weights = tf.random.stateless_normal(inputs.shape, [0, 1])
    actual = values_and_gradients(fused, [inputs, *vectors], weights)
    exact = [tf.cast(inputs, tf.float32), *vectors]
    assert_close(actual, values_and_gradients(plain, exact, weights), 0.02)


def second_gradient(function):
    inputs = arguments()
    with tf.GradientTape() as outer:
        outer.watch(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(tf.sin(function(*inputs)))
        loss = tf.reduce_sum(tf.square(tape.gradient(loss, inputs[0])))
    return outer.gradient(loss, inputs[:2])


def plain_norm(inputs, scale, offset, mean, variance):
    return scale * (inputs - mean) * tf.math.rsqrt(variance + EPSILON) + offset


def plain_norm_by_batch(inputs, scale, offset, *_):
    mean = tf.reduce_mean(inputs, [0, 1, 2])
    variance = tf.reduce_mean(tf.square(inputs - mean), [0, 1, 2])
    return plain_norm(inputs, scale, offset, mean, variance)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda *a: norm_by(*a, EPSILON), plain_norm),
        (lambda *a: norm_by_batch(*a[:3], EPSILON)[0], plain_norm_by_batch),
    ],
    ids=["in inference", "by the batch"],
)
def test_gradients_of_gradients_are_those_of_the_formulas(function, expected):
    assert_close(second_gradient(function), second_gradient(expected), 1e-4)


def test_a_second_gradient_by_moving_averages_is_refused():
    with pytest.raises(LookupError, match='batch_norm="moving": expected to be differ'):
        second_gradient(lambda *a: fused(*a)[0])


@pytest.mark.parametrize("normalize_by", ["batch", "moving"])
@pytest.mark.parametrize("wrap", [lambda f: f, tf.function])
def test_a_batch_of_one_pixel_is_normalized_by_the_moving_averages(normalize_by, wrap):
    norm = nvp.BatchNormalization(normalize_by)
    one, many = tf.constant([[[[5.0, 6.0]]]]), tf.reshape(tf.range(8.0), [4, 1, 1, 2])
    norm(many, training=True)
    averages = [v.numpy() for v in norm.moments.variables]
    expected = norm(one)
    found = wrap(lambda x: norm(x, training=True))(one)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    for variable, value in zip(norm.moments.variables, averages, strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-6)


def test_several_pixels_of_images_of_one_are_normalized_by_their_own_moments():
    many = tf.reshape(tf.range(8.0), [4, 1, 1, 2])
    found = nvp.BatchNormalization()(many, training=True)
    centred = many - tf.reduce_mean(many, axis=0)
    np.testing.assert_allclose(found, centred / np.sqrt(5 + 1e-4), rtol=1e-5)
