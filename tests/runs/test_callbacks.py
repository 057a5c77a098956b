import re
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.data import progress
from tfp_realnvp.runs.callbacks import Report, Throughput, TimeLimit

tfd = tfp.distributions


def fit(*callbacks, epochs=1, batch_size=4, first_epoch=0):
    shift = tfp.bijectors.Shift(tf.Variable([0.0, 0.0]))
    base = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    model = nvp.FlowModel(tfd.TransformedDistribution(base, shift))
    model.compile(keras.optimizers.Adam(1e-3))
    model.step = first_epoch * 64 // batch_size
    x = np.zeros([64, 2], "float32")
    return model.fit(
        x,
        batch_size=batch_size,
        initial_epoch=first_epoch,
        epochs=epochs,
        callbacks=callbacks,
        verbose=0,
    )


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

    throughput = Throughput(batch_size=4)
    assert throughput.images_per_second is throughput.seconds_per_step is None
    history = fit(Slow(), throughput).history
    # 15 steps of 4 images, each 50 ms and what the step itself takes.
    assert 20 < throughput.images_per_second < 80
    assert throughput.seconds_per_step == 4 / throughput.images_per_second
    assert history["images_per_second"] == [throughput.images_per_second]


def test_a_single_step_has_no_speed_rather_than_nan():
    throughput = Throughput(batch_size=64)
    assert "images_per_second" not in fit(throughput, batch_size=64).history


def test_a_log_file_has_plain_lines_of_the_whole_run(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_IN_A_FILE", 0.0)
    throughput = Throughput(batch_size=4)
    # 16 steps of 64: as of a run that goes on for the last of 4 epochs.
    report = Report(16, 4, throughput)
    fit(throughput, report, first_epoch=3, epochs=4)
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"epoch 4/4, step 49/64, nll 1\.838", lines[0])
    left = r"epoch 4/4, step 50/64, nll 1\.838, \d+ images/s, \d:\d\d:\d\d left"
    assert re.fullmatch(left, lines[1])
    assert lines[15].endswith("0:00:00 left")
    assert re.fullmatch(r"epoch 4/4, nll 1.838, \d+ images/s", lines[16])
