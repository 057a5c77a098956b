import dataclasses
import resource

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_model import assert_same, state, variables_of

from tfp_realnvp.data import ImageData, ImageSplit
from tfp_realnvp.runs import checkpoint
from tfp_realnvp.runs.run import train
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory

CONFIG = RunConfig(
    dataset="made up",
    flow={"event_shape": (4, 4, 1), "num_scales": 1, "filters": 2, "num_blocks": 1},
    batch_size=8,
    epochs=3,
    learning_rate=1e-2,
    seed=1,
    average_decay=0.9,
)
STEPS = 6  # in an epoch


def changed(**changes):
    return dataclasses.replace(CONFIG, **changes)


def made_up(shift=0):
    def split(count, seed):
        images = np.random.default_rng(seed).integers(0, 200, [count, 4, 4, 1])
        return ImageSplit.from_array((images + shift).astype(np.uint8))

    return ImageData("made up", (4, 4, 1), split(50, 0), split(12, 1), split(12, 2))


class Stop(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.step == self.step:
            raise KeyboardInterrupt


def run(path, *, model=None, stop_at=None, config=CONFIG, data=None):
    directory = RunDirectory(path)
    if not directory.is_begun:
        RunDirectory.create(path, config)
    model = model or config.build_model()
    progress = train(
        model,
        config,
        data or made_up(),
        directory,
        checkpoint_steps=4,
        callbacks=[Stop(stop_at)],
        verbose=0,
    )
    return model, progress


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "whole"
    return (RunDirectory(path), *run(path))


def everything(model):
    return [*state(model), *(v.numpy() for v in model.average.variables)]


def scores(history):
    return [{k: v for k, v in logs.items() if "second" not in k} for logs in history]


def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(whole, tmp_path):
    _, model, progress = whole
    # In the first epoch, before any checkpoint: another run begins.
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", stop_at=3)
    # Between checkpoints, after one in the middle of an epoch, and at the end of one:
    # nothing goes on but what the files hold.
    resumed = CONFIG.build_model()
    for step in (7, 8, 12):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", model=resumed, stop_at=step)
        for variable in (*variables_of(resumed), *resumed.average.variables):
            variable.assign(variable + 1)
        resumed.step = -1
    _, resumed_progress = run(tmp_path / "cut", model=resumed)
    assert_same(everything(resumed), everything(model))
    assert resumed_progress.step == progress.step == 3 * STEPS
    assert scores(resumed_progress.history) == scores(progress.history)
    assert resumed_progress.best == progress.best
    # It is over, and trains no more.
    again, over = run(tmp_path / "cut")
    assert over.step == 3 * STEPS
    assert_same(state(again), state(model))


def test_weights_and_history_of_a_run_are_kept(whole):
    directory, model, progress = whole
    assert_same(directory.load_model().get_weights(), model.get_weights())
    validation = made_up().validation_batches(8)
    with model.averaged_weights():
        average = directory.load_model("average").get_weights()
        assert_same(average, model.get_weights())
        averaged = model.evaluate(validation, verbose=0)[1]
    expected = progress.history[-1]["val_average_bits_per_dim"]
    np.testing.assert_allclose(averaged, expected, rtol=1e-5)
    best = directory.load_model("best").evaluate(validation, verbose=0)[1]
    assert progress.best == min(h["val_bits_per_dim"] for h in progress.history)
    np.testing.assert_allclose(best, progress.best, rtol=1e-5)
    header, *lines = directory.history.read_text().splitlines()
    assert len(lines) == 3
    for name in ("val_bits_per_dim", "val_average_bits_per_dim", "images_per_second"):
        assert name in header.split(",")


def test_accumulated_batches_update_as_whole_ones_without_batch_norm(tmp_path):
    # With batch normalization they would not: its moments are those of the parts.
    flow = {**CONFIG.flow, "batch_norm": None}
    # Equal images in one update: only the noise differs.
    split = ImageSplit.from_array(np.full([8, 4, 4, 1], 77, np.uint8))
    data = ImageData("grey", (4, 4, 1), split, split, split)
    weights = [changed(flow=flow).build_model().get_weights()]
    for count in (1, 2):
        config = changed(accumulate=count, flow=flow, epochs=1, average_decay=None)
        model, progress = run(tmp_path / str(count), config=config, data=data)
        assert (progress.step, int(model.optimizer.iterations)) == (count, 1)
        weights.append(model.get_weights())
    before, *after = weights
    for a, b in zip(*after, strict=True):
        np.testing.assert_allclose(a, b, atol=0.021)
    assert any(np.any(a != b) for a, b in zip(before, after[1], strict=True))


@pytest.fixture
def put_nan(monkeypatch):
    """A function that puts NaN into batches of some numbers, told by a function."""
    batches = ImageData.training_batches

    def put(where):
        def spoil(number, batch):
            batch = tf.cast(batch, tf.float32)
            return tf.where(where(number), batch + np.nan, batch)

        def with_nan(*args, **kwargs):
            return batches(*args, **kwargs).enumerate().map(spoil)

        monkeypatch.setattr(ImageData, "training_batches", with_nan)

    return put


def test_the_weights_before_a_step_that_is_not_finite_are_kept(tmp_path, put_nan):
    put_nan(lambda number: number == 4)
    with pytest.raises(FloatingPointError, match="step 5: .*8 of the 8 examples"):
        run(tmp_path / "run")
    model = CONFIG.build_model()
    directory = RunDirectory(tmp_path / "run")
    progress = checkpoint.load_checkpoint(directory.checkpoint, model)
    assert progress.step == model.step == 4
    assert all(np.all(np.isfinite(w)) for w in model.get_weights())


def test_a_run_whose_first_epoch_was_skipped_goes_on_without_an_average(
    tmp_path, put_nan
):
    put_nan(lambda number: number < STEPS)
    config = changed(epochs=2, on_non_finite="skip")
    model, progress = run(tmp_path / "run", config=config)
    assert progress.skipped_steps == STEPS and model.has_average
    has_average = ["val_average_bits_per_dim" in logs for logs in progress.history]
    assert has_average == [False, True]


def test_all_files_are_there_when_a_run_is_cut_off_after_its_last_checkpoint(
    tmp_path, monkeypatch
):
    save = checkpoint.save_checkpoint

    def cut_off(path, model, progress):
        save(path, model, progress)
        if progress.step == STEPS:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_checkpoint", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run")
    directory = RunDirectory(tmp_path / "run")
    assert directory.history.exists()
    for which in ("last", "best", "average"):
        directory.load_model(which)


def test_other_images_are_noticed(whole):
    with pytest.raises(ValueError, match="resume: expected the images of the check"):
        run(whole[0].path, data=made_up(shift=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 2}, "epochs as the run began with, 3; got 2"),
        ({"seed": 2}, "seed as the run began with, 1; got 2"),
        ({"flow": {**CONFIG.flow, "filters": 9}}, "flow.filters as .* with, 2; got 9"),
        ({"data_dir": "moved"}, None),
        ({"epochs": 4}, None),
    ],
)
def test_a_run_is_not_continued_as_another(change, message, whole):
    before = whole[0].load_config()
    if message is None:
        changed(**change).check_goes_on_from(before)
    else:
        with pytest.raises(ValueError, match=f"resume: expected {message}"):
            changed(**change).check_goes_on_from(before)


def test_a_limit_on_time_is_refused_on_several_workers():
    class Cluster:
        cluster_resolver = "two workers"

    with pytest.raises(ValueError, match="minutes: expected None on several workers"):
        changed(minutes=1.0).build_model(Cluster())


def test_another_run_is_kept_by_whatever_name_its_folder_is_reached(tmp_path):
    old = tmp_path / "old" / "config.json"
    old.parent.mkdir()
    old.write_text("theirs")
    with pytest.raises(FileExistsError, match=r"old is not empty\. Choose another"):
        RunDirectory.create(tmp_path / "runs" / ".." / "old", CONFIG)
    assert old.read_text() == "theirs"


@pytest.mark.parametrize("room", [1000, 5000, 9000, 13_000])
def test_weights_that_the_disk_has_no_room_for_are_an_error(room, whole, tmp_path):
    directory, progress = RunDirectory(tmp_path), checkpoint.Progress()
    callback = checkpoint.Checkpoints(directory, progress, 1)
    callback.set_model(whole[1])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            callback._save_weights("last")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_a_run_is_written_by_one_process_at_a_time(tmp_path):
    run = RunDirectory(tmp_path / "run")
    message = "run: another process is writing into"
    with run.lock(), pytest.raises(BlockingIOError, match=message), run.lock():
        pass
    assert not list(run.path.iterdir())
    # As a process that was killed leaves it.
    (run.path / ".lock").touch()
    with run.lock():
        RunDirectory.create(run.path, CONFIG)
