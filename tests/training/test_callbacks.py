import time

import keras
import numpy as np
import pytest

from tfp_realnvp.training.callbacks import (
    CosineDecay,
    SaveWeights,
    Throughput,
    TimeLimit,
)


def fit(*callbacks, epochs=1):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(1e-3), loss="mse")
    x = np.zeros([64, 2], "float32")
    model.fit(x, x[:, :1], batch_size=4, epochs=epochs, callbacks=callbacks, verbose=0)
    return model


def test_weights_are_there_after_every_epoch_and_nothing_else(tmp_path):
    path = tmp_path / "model.weights.h5"
    model = fit(SaveWeights(path))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    expected = model.get_weights()
    model.set_weights([np.zeros_like(w) for w in expected])
    model.load_weights(path)
    for a, b in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_time_limit_ends_training_in_the_middle():
    begin = time.monotonic()
    fit(TimeLimit(0.05), epochs=100_000)
    assert 3 <= time.monotonic() - begin < 60


def test_time_limits_of_nothing_are_refused():
    with pytest.raises(ValueError, match="minutes: expected a positive number, got 0"):
        TimeLimit(0)


def test_throughput_counts_the_images_of_all_steps_but_the_first():
    class Slow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.05)

    throughput = Throughput(batch_size=4)
    assert np.isnan(throughput.images_per_second)
    fit(Slow(), throughput)
    # 15 steps of 4 images, each 50 ms and what the step itself takes.
    assert 20 < throughput.images_per_second < 80


class Rates(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(float(self.model.optimizer.learning_rate))


def test_learning_rate_falls_along_a_cosine_over_the_steps():
    rates = Rates()
    fit(CosineDecay(steps=16), rates)
    expected = 0.5e-3 * (1 + np.cos(np.pi * np.arange(16) / 16))
    np.testing.assert_allclose(rates.seen, expected, rtol=1e-5)


def test_learning_rate_is_near_0_at_the_time_limit():
    rates, limit = Rates(), TimeLimit(0.03)
    fit(limit, CosineDecay(steps=10**6, time_limit=limit), rates, epochs=10**5)
    assert rates.seen[0] > 0.9e-3
    assert rates.seen[-1] < 1e-5
