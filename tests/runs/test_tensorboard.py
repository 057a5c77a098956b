import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from small_model import image_model, new_image_model

import tfp_realnvp as nvp
from tfp_realnvp.figures import sample_images
from tfp_realnvp.runs.tensorboard import TensorBoard

tfd = tfp.distributions

IMAGES = np.random.default_rng(0).integers(0, 256, [40, 4, 4, 1], np.uint8)
HEALTH = {"health/round_trip_error", "health/statistics_gap"}
TRAINING = {
    f"train/{name}"
    for name in (
        "bits_per_dim",
        "gradient_norm",
        "is_finite",
        "learning_rate",
        "log_det",
        "loss",
        "prior",
    )
}
VALIDATION = {"validation/bits_per_dim", "validation/loss"}
PICTURES = {"samples", "reconstructions"}

# Two replicas; the process dies in the middle of the second epoch.
KILLED = """
import os, signal, sys

import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
sys.path.insert(0, sys.argv[2])
from replica_run import make_flow

import tfp_realnvp as nvp
from tfp_realnvp.runs.tensorboard import TensorBoard

with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = nvp.FlowModel(make_flow("stored"), seed=0)
    model.compile()


class Kill(keras.callbacks.Callback):

    def on_train_batch_end(self, batch, logs=None):
        if model.step == 13:
            os.kill(os.getpid(), signal.SIGKILL)


images = np.random.default_rng(0).integers(0, 256, [40, 4, 4, 1], np.uint8)
board = TensorBoard(sys.argv[1], images=images, every_steps=2)
model.fit(images, batch_size=4, epochs=2, callbacks=[board, Kill()], verbose=0)
"""


def fit(model, board=None, epochs=1):
    callbacks = [] if board is None else [board]
    model.fit(
        IMAGES,
        batch_size=4,
        epochs=epochs,
        shuffle=False,
        validation_data=IMAGES,
        callbacks=callbacks,
        verbose=0,
    )


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
    """A trained model, and what was written of its training."""
    directory = tmp_path_factory.mktemp("run")
    model = new_image_model()
    board = TensorBoard(
        directory, images=IMAGES, seed=3, temperature=0.5, every_steps=4
    )
    fit(model, board, epochs=2)
    return model, read(directory)


def test_all_is_there_at_its_steps(two_epochs):
    _, values = two_epochs
    assert set(values) == TRAINING | VALIDATION | HEALTH | PICTURES
    for tag in TRAINING:
        assert steps(values, tag) == [4, 8, 12, 16, 20]
    for tag in VALIDATION | HEALTH | PICTURES:
        assert steps(values, tag) == [10, 20]


def test_scalars_are_those_of_the_model(tmp_path):
    model = image_model()
    seen = {}

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen[model.step] = dict(model.last_report), dict(logs)

    board = TensorBoard(tmp_path, images=None, every_steps=3)
    model.optimizer.learning_rate = 0.002
    history = model.fit(
        IMAGES,
        batch_size=4,
        validation_data=IMAGES,
        callbacks=[board, Watch()],
        verbose=0,
    ).history
    values = read(tmp_path)
    assert set(values) == TRAINING | VALIDATION
    for name in ("prior", "log_det", "gradient_norm"):
        for step, value in values[f"train/{name}"]:
            np.testing.assert_allclose(value, seen[step][0][name], rtol=1e-6)
    for step, value in values["train/bits_per_dim"]:
        np.testing.assert_allclose(value, seen[step][1]["bits_per_dim"], rtol=1e-6)
    np.testing.assert_allclose(values["train/learning_rate"][0][1], 0.002, rtol=1e-6)
    for name in ("loss", "bits_per_dim"):
        _, value = values[f"validation/{name}"][0]
        np.testing.assert_allclose(value, history[f"val_{name}"][0], rtol=1e-6)


def test_a_resumed_run_goes_on_in_the_same_folder(tmp_path):
    fit(image_model(), TensorBoard(tmp_path, images=None, every_steps=4))
    resumed = image_model()
    resumed.step = 10
    fit(resumed, TensorBoard(tmp_path, images=None, every_steps=4))
    values = read(tmp_path)
    assert steps(values, "train/loss") == [4, 8, 12, 16, 20]
    assert steps(values, "validation/loss") == [10, 20]


def test_steps_that_run_many_at_once_are_written_when_they_can_be(tmp_path):
    model = new_image_model()
    model.compile(steps_per_execution=3)
    fit(model, TensorBoard(tmp_path, images=None, every_steps=5))
    assert steps(read(tmp_path), "train/loss") == [6, 10]


def picture(values, tag, index=-1):
    _, (width, height, png) = values[tag][index]
    image = tf.io.decode_png(png).numpy()
    assert image.shape[:2] == (int(height), int(width))
    return image


def tiles(grid, scale, gap=2):
    """Undoes `image_grid`."""
    side = 4 * scale + gap
    return np.stack(
        [
            grid[top : top + side - gap : scale, left : left + side - gap : scale]
            for top in range(0, grid.shape[0], side)
            for left in range(0, grid.shape[1], side)
        ]
    )


def test_pictures_are_of_data_their_reconstructions_and_the_same_samples(two_epochs):
    model, values = two_epochs
    pairs = tiles(picture(values, "reconstructions"), scale=16)
    assert pairs.shape == (16, 4, 4, 1)
    np.testing.assert_array_equal(pairs[:8], IMAGES[:8])
    assert np.max(np.abs(pairs[8:].astype(int) - IMAGES[:8])) <= 1
    samples = tiles(picture(values, "samples"), scale=16)
    expected = sample_images(model.flow, 16, seed=3, temperature=0.5)
    np.testing.assert_array_equal(samples, expected)
    assert np.ptp(samples) > 20
    before = tiles(picture(values, "samples", 0), scale=16)
    # The same latents through a flow that has hardly moved.
    assert 0 < np.mean(np.abs(before.astype(int) - samples)) < 20


def test_few_images_and_images_in_colour_are_pictured_too(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, [3, 4, 4, 3], np.uint8)
    model = new_image_model(event_shape=(4, 4, 3))
    board = TensorBoard(tmp_path, images=images)
    model.fit(images, batch_size=3, callbacks=[board], verbose=0)
    values = read(tmp_path)
    pairs = tiles(picture(values, "reconstructions"), scale=16)
    np.testing.assert_array_equal(pairs[:3], images)


def test_health_is_measured_and_changes_nothing(two_epochs):
    model, values = two_epochs
    _, error = values["health/round_trip_error"][-1]
    _, gap = values["health/statistics_gap"][-1]
    assert 0 < error < 0.1
    assert gap != 0
    twin = image_model()
    fit(twin, epochs=2)
    for ours, others in zip(model.variables, twin.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), others.numpy())


def test_flows_over_vectors_and_conditional_flows_have_scalars_only(tmp_path):
    base = tfd.MultivariateNormalDiag([0.0, 0.0])
    flow = tfd.TransformedDistribution(base, nvp.RealNVPBijector((2,)))
    model = nvp.FlowModel(flow)
    model.compile()
    x = np.zeros([40, 2], "float32")
    board = TensorBoard(tmp_path / "vectors", images=IMAGES)
    model.fit(x, batch_size=4, callbacks=[board], verbose=0)
    tags = {tag.replace("bits_per_dim", "nll") for tag in TRAINING}
    assert set(read(tmp_path / "vectors")) == tags

    model = new_image_model(condition_size=2)
    board = TensorBoard(tmp_path / "conditional", images=IMAGES)
    labels = np.zeros(40, np.int32)
    model.fit(IMAGES, labels, batch_size=4, callbacks=[board], verbose=0)
    assert set(read(tmp_path / "conditional")) == TRAINING


def test_settings_are_the_hyperparameters_of_the_run(tmp_path):
    settings = {
        "filters": 4,
        "learning_rate": 0.5,
        "flips": True,
        "dataset": "digits",
        "minutes": None,
        "event_shape": (4, 4, 1),
    }
    board = TensorBoard(tmp_path, images=None, settings=settings)
    fit(image_model(), board)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    accumulator = EventAccumulator(str(tmp_path)).Reload()
    contents = accumulator.summary_metadata["_hparams_/session_start_info"]
    data = plugin_data_pb2.HParamsPluginData.FromString(
        contents.plugin_data.content
    ).session_start_info.hparams
    written = {
        name: getattr(value, value.WhichOneof("kind")) for name, value in data.items()
    }
    assert written == {**settings, "minutes": "None", "event_shape": "(4, 4, 1)"}


def test_a_run_on_two_replicas_that_is_killed_leaves_readable_files(tmp_path):
    tests = pathlib.Path(__file__).parents[1]
    process = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, tests], capture_output=True, text=True
    )
    assert process.returncode == -9, process.stderr
    values = read(tmp_path)
    assert set(values) == TRAINING | HEALTH | PICTURES
    assert steps(values, "train/loss")[:5] == [2, 4, 6, 8, 10]
    for tag in HEALTH | PICTURES:
        assert steps(values, tag) == [10]
    assert np.ptp(picture(values, "samples")) > 20
    assert 0 < values["health/round_trip_error"][0][1] < 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": IMAGES / 255}, r"images: expected uint8 .* got float64 of shape"),
        ({"images": IMAGES[0]}, r"images: expected uint8 .* of shape \(4, 4, 1\)"),
        ({"images": IMAGES[:0]}, r"images: .* with N > 0, .* \(0, 4, 4, 1\)"),
        (
            {"temperature": -1.0},
            "temperature: expected 0 or more, and finite, got -1.0",
        ),
        ({"every_steps": 0}, "every_steps: expected a positive int, got 0"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        TensorBoard(tmp_path, **{"images": None, **arguments})


def test_images_of_another_size_are_refused_before_training(tmp_path):
    model = image_model()
    images = np.zeros([4, 8, 8, 1], np.uint8)
    with pytest.raises(ValueError, match=r"images: .* \(4, 4, 1\), got \(8, 8, 1\)"):
        fit(model, TensorBoard(tmp_path, images=images))
    assert model.step == 0


def test_without_tensorboard_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.plugins.hparams.api", None)
    with pytest.raises(ImportError, match=r"tfp_realnvp\[tensorboard\]"):
        TensorBoard(tmp_path, images=None)
