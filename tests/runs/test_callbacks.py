import time

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.runs.callbacks import (
    Throughput,
    TimeLimit,
)

tfd = tfp.distributions


def fit(*callbacks, epochs=1):
    shift = tfp.bijectors.Shift(tf.Variable([0.0, 0.0]))
    base = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    model = nvp.FlowModel(tfd.TransformedDistribution(base, shift))
    model.compile(keras.optimizers.Adam(1e-3))
    x = np.zeros([64, 2], "float32")
    return model.fit(x, batch_size=4, epochs=epochs, callbacks=callbacks, verbose=0)


def test_time_limit_ends_training_in_the_middle():
    begin = time.monotonic()
    fit(TimeLimit(0.05), epochs=100_000)
    assert 3 <= time.monotonic() - begin < 60


def test_time_limits_of_nothing_are_refused():
    with pytest.raises(ValueError, match="minutes: expected a positive number, got 0"):
        TimeLimit(0)


def test_a_time_limit_counts_what_was_spent_before():
    limit = TimeLimit(1.0, seconds_before=45)
    limit.on_train_begin()
    assert 0.75 <= limit.progress < 0.8


def test_throughput_counts_the_images_of_all_steps_but_the_first():
    class Slow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.05)

    throughput = Throughput(batch_size=4, steps=160)
    assert np.isnan(throughput.images_per_second)
    seen = Seen()
    history = fit(Slow(), throughput, seen).history
    # 15 steps of 4 images, each 50 ms and what the step itself takes.
    assert 20 < throughput.images_per_second < 80
    assert history["images_per_second"] == [throughput.images_per_second]
    # 144 steps are left, of 50 ms or more.
    assert 0.12 < seen.logs["minutes_left"] < 0.5


class Seen(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.logs = dict(logs)
