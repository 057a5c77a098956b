import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.runs.callbacks import TimeLimit
from tfp_realnvp.runs.learning_rate import LearningRate

tfd = tfp.distributions

DONE = np.arange(16) / 16


class Rates(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(float(self.model.optimizer.learning_rate))


def rates(schedule, *before, epochs=1):
    """Returns the rates of the 16 steps of each epoch."""
    shift = tfp.bijectors.Shift(tf.Variable([0.0, 0.0]))
    base = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    model = nvp.FlowModel(tfd.TransformedDistribution(base, shift))
    model.compile(keras.optimizers.Adam(1e-2))
    rates = Rates()
    x = np.zeros([64, 2], "float32")
    callbacks = [*before, schedule, rates]
    model.fit(x, batch_size=4, epochs=epochs, callbacks=callbacks, verbose=0)
    return rates.seen


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", np.ones(16)),
        ("cosine", 0.5 * (1 + np.cos(np.pi * DONE))),
        ("trapezoid", np.minimum(1, (1 - DONE) / 0.3)),
    ],
)
def test_the_rate_follows_the_schedule_over_the_steps(schedule, factors):
    seen = rates(LearningRate(1e-3, 16, schedule))
    np.testing.assert_allclose(seen, 1e-3 * factors, rtol=1e-5)


def test_the_rate_rises_over_the_warmup_while_it_falls_along_the_schedule():
    seen = rates(LearningRate(1e-3, 16, "cosine", warmup_steps=4))
    rising = np.minimum(1, (np.arange(16) + 1) / 4)
    falling = 0.5 * (1 + np.cos(np.pi * DONE))
    np.testing.assert_allclose(seen, 1e-3 * rising * falling, rtol=1e-5)


def test_the_rate_is_near_0_at_the_time_limit():
    limit = TimeLimit(0.03)
    schedule = LearningRate(1e-3, 10**6, time_limit=limit)
    seen = rates(schedule, limit, epochs=10**5)
    assert seen[0] > 0.9e-3
    assert seen[-1] < 1e-5


def test_the_rate_stays_0_after_the_last_step():
    assert rates(LearningRate(1e-3, 8, "trapezoid"))[8:] == [0.0] * 8


def test_a_schedule_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="schedule: expected .*cosine.*got 'step'"):
        LearningRate(1e-3, 16, "step")
