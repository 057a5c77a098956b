import itertools
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_model import assert_same, image_model, new_image_model

from tfp_realnvp.figures import sample_images
from tfp_realnvp.runs.callbacks import TensorBoard

IMAGES = np.random.default_rng(0).integers(0, 256, [40, 4, 4, 1], np.uint8)
TRAINING = "loss bits_per_dim prior log_det gradient_norm is_finite learning_rate"
TRAINING = {f"train/{name}" for name in TRAINING.split()}
VALIDATION = {"validation/bits_per_dim", "validation/loss"}
OF_IMAGES = {"health/round_trip_error", "health/statistics_gap"}
OF_IMAGES |= {"samples", "reconstructions"}


def fit(model, *callbacks, epochs=1):
    options = {"validation_data": IMAGES, "callbacks": callbacks, "verbose": 0}
    return model.fit(
        IMAGES, batch_size=4, epochs=epochs, shuffle=False, **options
    ).history


def read(directory):
    """Returns the values by tag, as pairs of step and array."""
    found = {}
    for path in sorted(pathlib.Path(directory).glob("events*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            for value in event.summary.value:
                pair = event.step, tf.make_ndarray(value.tensor)
                found.setdefault(value.tag, []).append(pair)
    return found


def steps(values, tag):
    return [step for step, _ in values[tag]]


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory):
    """A trained model, what was written of its training, and what Keras has seen."""
    directory = tmp_path_factory.mktemp("run")
    model = new_image_model()
    seen = {}

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen[model.step] = {**model.last_report, **logs}

    board = TensorBoard(directory, images=IMAGES, seed=3, every_steps=4)
    history = fit(model, board, Watch(), epochs=2)
    return model, read(directory), seen, history


def test_all_is_there_at_its_steps_and_is_what_the_model_says(two_epochs):
    model, values, seen, history = two_epochs
    assert set(values) == TRAINING | VALIDATION | OF_IMAGES
    for tag in TRAINING:
        assert steps(values, tag) == [4, 8, 12, 16, 20]
    for tag in VALIDATION | OF_IMAGES:
        assert steps(values, tag) == [10, 20]
    for name in ("prior", "log_det", "gradient_norm", "bits_per_dim"):
        for step, value in values[f"train/{name}"]:
            np.testing.assert_allclose(value, seen[step][name], rtol=1e-6)
    for name in ("loss", "bits_per_dim"):
        found = [value for _, value in values[f"validation/{name}"]]
        np.testing.assert_allclose(found, history[f"val_{name}"], rtol=1e-6)
    rate = float(model.optimizer.learning_rate)
    np.testing.assert_allclose(values["train/learning_rate"][0][1], rate, rtol=1e-6)


def test_a_resumed_run_goes_on_in_the_same_folder(tmp_path):
    for step in (0, 10):
        model = image_model()
        model.step = step
        fit(model, TensorBoard(tmp_path, images=None, every_steps=4))
    values = read(tmp_path)
    assert set(values) == TRAINING | VALIDATION
    assert steps(values, "train/loss") == [4, 8, 12, 16, 20]
    assert steps(values, "validation/loss") == [10, 20]


def test_steps_that_run_many_at_once_are_written_when_they_can_be(tmp_path):
    model = new_image_model()
    model.compile(steps_per_execution=3)
    fit(model, TensorBoard(tmp_path, images=None, every_steps=5))
    assert steps(read(tmp_path), "train/loss") == [6, 10]


def picture(values, tag, index=-1):
    """Returns the tiles of an image grid, of 4 x 4 pixels, each 16 times as large."""
    _, (width, height, png) = values[tag][index]
    grid = tf.io.decode_png(png).numpy()
    assert grid.shape[:2] == (int(height), int(width))
    places = itertools.product(*(range(0, side, 66) for side in grid.shape[:2]))
    return np.stack([grid[y : y + 64 : 16, x : x + 64 : 16] for y, x in places])


def test_pictures_are_of_data_their_reconstructions_and_the_same_samples(two_epochs):
    model, values, *_ = two_epochs
    pairs = picture(values, "reconstructions")
    assert pairs.shape == (16, 4, 4, 1)
    np.testing.assert_array_equal(pairs[:8], IMAGES[:8])
    assert np.max(np.abs(pairs[8:].astype(int) - IMAGES[:8])) <= 1
    samples = picture(values, "samples")
    np.testing.assert_array_equal(samples, sample_images(model.flow, 16, seed=3))
    assert np.ptp(samples) > 20
    # The same latents through a flow that has hardly moved.
    before = picture(values, "samples", 0).astype(int)
    assert 0 < np.mean(np.abs(before - samples)) < 20


def test_health_is_measured_and_changes_nothing(two_epochs):
    model, values, *_ = two_epochs
    assert 0 < values["health/round_trip_error"][-1][1] < 0.1
    assert values["health/statistics_gap"][-1][1] != 0
    twin = image_model()
    fit(twin, epochs=2)
    assert_same(*([v.numpy() for v in m.variables] for m in (model, twin)))
