import re
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.data import progress
from tfp_realnvp.runs.callbacks import LearningRate, Report, Throughput, TimeLimit

tfd = tfp.distributions

# 16 steps, as `fit` below makes them.
DONE = np.arange(16) / 16
COSINE = 0.5 * (1 + np.cos(np.pi * DONE))


class Rates(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(float(self.model.optimizer.learning_rate))


def fit(*callbacks, epochs=1, batch_size=4, first_epoch=0):
    shift = tfp.bijectors.Shift(tf.Variable([0.0, 0.0]))
    base = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    model = nvp.FlowModel(tfd.TransformedDistribution(base, shift))
    model.compile(keras.optimizers.Adam(1e-2))
    model.step = first_epoch * 64 // batch_size
    return model.fit(
        np.zeros([64, 2], "float32"),
        batch_size=batch_size,
        initial_epoch=first_epoch,
        epochs=epochs,
        callbacks=callbacks,
        verbose=0,
    )


def rates(schedule, *before, **kwargs):
    rates = Rates()
    fit(*before, schedule, rates, **kwargs)
    return rates.seen


@pytest.mark.parametrize(
    ("schedule", "warmup", "factors"),
    [
        ("constant", 0, np.ones(16)),
        ("cosine", 0, COSINE),
        ("trapezoid", 0, np.minimum(1, (1 - DONE) / 0.3)),
        ("cosine", 4, np.minimum(1, (16 * DONE + 1) / 4) * COSINE),
    ],
)
def test_the_rate_follows_the_schedule_over_the_steps(schedule, warmup, factors):
    seen = rates(LearningRate(1e-3, 16, schedule, warmup_steps=warmup))
    np.testing.assert_allclose(seen, 1e-3 * factors, rtol=1e-5)


def test_the_rate_stays_0_after_the_last_step():
    assert rates(LearningRate(1e-3, 8, "trapezoid"))[8:] == [0.0] * 8


def test_a_time_limit_ends_training_when_the_rate_is_near_0():
    limit = TimeLimit(0.03)
    begin = time.monotonic()
    seen = rates(LearningRate(1e-3, 10**6, time_limit=limit), limit, epochs=10**5)
    assert 1.8 <= time.monotonic() - begin < 60
    assert seen[0] > 0.9e-3 and seen[-1] < 1e-5
    # What was spent before counts.
    limit = TimeLimit(1.0, seconds_before=45)
    limit.on_train_begin()
    assert 0.75 <= limit.progress < 0.8


def test_what_there_is_not_is_refused():
    with pytest.raises(ValueError, match="schedule: expected .*cosine.*got 'step'"):
        LearningRate(1e-3, 16, "step")
    with pytest.raises(ValueError, match="minutes: expected a positive number, got 0"):
        TimeLimit(0)


def test_throughput_counts_the_images_of_all_steps_but_the_first():
    class Slow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.05)

    throughput = Throughput(batch_size=4)
    history = fit(Slow(), throughput).history
    # 15 steps of 4 images, each 50 ms and what the step itself takes.
    assert 20 < throughput.images_per_second < 80
    assert history["images_per_second"] == [throughput.images_per_second]
    # A single step has no speed, rather than NaN.
    once = Throughput(batch_size=64)
    assert "images_per_second" not in fit(once, batch_size=64).history


def test_a_log_file_has_plain_lines_of_the_whole_run(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_IN_A_FILE", 0.0)
    # 16 steps of 64: as of a run that goes on for the last of 4 epochs.
    fit(Report(4, 16, 4), first_epoch=3, epochs=4)
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"epoch 4/4, step 49/64, nll 1\.838", lines[0])
    left = r"epoch 4/4, step 50/64, nll 1\.838, \d+ images/s, \d:\d\d:\d\d left"
    assert re.fullmatch(left, lines[1])
    assert lines[15].endswith("0:00:00 left")
    assert re.fullmatch(r"epoch 4/4, nll 1.838, \d+ images/s", lines[16])
