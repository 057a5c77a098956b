import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp


def batch(shape, seed=0):
    return tf.random.stateless_normal(shape, [seed, 0], mean=3.0, stddev=2.0)


@pytest.mark.parametrize(
    "mask", [None, nvp.checkerboard_mask, nvp.channel_mask], ids=lambda m: str(m)[:25]
)
def test_training_normalizes_what_the_mask_does_not_pass_through(mask):
    norm = nvp.BatchNorm((8, 8, 4), mask=mask, epsilon=1e-5)
    y = batch([64, 8, 8, 4]) * [1.0, 2.0, 3.0, 4.0]
    x = norm.inverse(y, training=True).numpy()
    passes = np.zeros(x.shape, bool)
    if mask is not None:
        passes = np.broadcast_to(mask((8, 8, 4)), x.shape)
    np.testing.assert_array_equal(x[passes], y.numpy()[passes])
    log_det = 0
    for channel in range(4):
        changed = ~passes[..., channel]
        if changed.any():
            values = x[..., channel][changed]
            assert abs(values.mean()) < 1e-4
            assert abs(values.std() - 1) < 1e-3
            variance = y.numpy()[..., channel][changed].var() + 1e-5
            log_det -= 0.5 * changed[0].sum() * np.log(variance)
    found = norm.inverse_log_det_jacobian(y, training=True)
    np.testing.assert_allclose(found, np.full(64, log_det), rtol=1e-5)


def test_moving_averages_follow_equations_15_and_16():
    moments = nvp.BatchMoments("moving", momentum=0.75)
    norm = nvp.BatchNorm((3,), moments)
    mean, variance = np.zeros(3), np.ones(3)
    for step in range(3):
        y = batch([50, 3], seed=step)
        x = norm.inverse(y, training=True)
        mean = 0.75 * mean + 0.25 * y.numpy().mean(axis=0)
        variance = 0.75 * variance + 0.25 * y.numpy().var(axis=0)
        expected = (y - mean) / np.sqrt(variance + 1e-4)
        np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moments.moving_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(moments.moving_variance, variance, rtol=1e-5)


def test_gradients_of_moving_averages_flow_through_the_current_batch_only():
    moments = nvp.BatchMoments("moving", momentum=0.75)
    moments.build((None, 1))
    y = tf.constant([[1.0], [5.0]])
    with tf.GradientTape() as tape:
        tape.watch(y)
        mean, _ = moments(y, training=True)
    # The batch mean has gradient 1/2 for each of the two, and weight 1/4.
    np.testing.assert_allclose(tape.gradient(mean, y), [[0.125], [0.125]])


def test_sampling_uses_the_moving_averages_even_in_training():
    norm, x = nvp.BatchNorm((3,)), batch([10, 3])
    expected = norm.forward(tf.identity(x))
    np.testing.assert_array_equal(norm.forward(x, training=True), expected)
