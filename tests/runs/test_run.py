import dataclasses
import resource

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_model import assert_same, state, variables_of

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageData, ImageSplit
from tfp_realnvp.runs.checkpoint import (
    Checkpoints,
    Progress,
    load_checkpoint,
    save_checkpoint,
)
from tfp_realnvp.runs.run import train
from tfp_realnvp.runs.run_config import RECIPES, RunConfig, recipe_of
from tfp_realnvp.runs.run_directory import RunDirectory

CONFIG = RunConfig(
    dataset="made up",
    flow={
        "event_shape": (4, 4, 1),
        "num_scales": 1,
        "filters": 2,
        "num_blocks": 1,
    },
    batch_size=8,
    epochs=3,
    learning_rate=1e-2,
    seed=1,
    average_decay=0.9,
)
STEPS = 6  # in an epoch


def made_up(shift=0):
    def split(count, seed):
        images = np.random.default_rng(seed).integers(0, 200, [count, 4, 4, 1])
        return ImageSplit.from_array((images + shift).astype(np.uint8))

    return ImageData("made up", (4, 4, 1), split(50, 0), split(12, 1), split(12, 2))


def run(path, *, model=None, stop_at=None, config=CONFIG, data=None, **kwargs):
    directory = RunDirectory(path)
    if not directory.is_begun:
        RunDirectory.create(path, config)
    model = model or config.build_model()
    callbacks = [] if stop_at is None else [Stop(stop_at)]
    progress = train(
        model,
        config,
        data or made_up(),
        directory,
        checkpoint_steps=4,
        callbacks=callbacks,
        verbose=0,
        **kwargs,
    )
    return model, progress


class Stop(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.step == self.step:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "whole"
    return (path, *run(path))


def spoil(model):
    """Moves all that a checkpoint of the model holds."""
    for variable in (*variables_of(model), *model.average.variables):
        variable.assign(variable + 1)
    model.step = -1


def averages(model):
    return [v.numpy() for v in model.average.variables]


def scores(history):
    timings = ("images_per_second",)
    return [{k: v for k, v in logs.items() if k not in timings} for logs in history]


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
        spoil(resumed)
    _, resumed_progress = run(tmp_path / "cut", model=resumed)
    assert_same(state(resumed), state(model))
    assert_same(averages(resumed), averages(model))
    assert resumed_progress.step == progress.step == 3 * STEPS
    assert scores(resumed_progress.history) == scores(progress.history)
    assert resumed_progress.best == progress.best
    # It is over, and trains no more.
    again, over = run(tmp_path / "cut")
    assert over.step == 3 * STEPS
    assert_same(state(again), state(model))


def test_weights_and_history_of_a_run_are_kept(whole):
    path, model, progress = whole
    directory = RunDirectory(path)
    last = directory.load_model()
    assert_same(last.get_weights(), model.get_weights())
    average = directory.load_model("average")
    with model.averaged_weights():
        assert_same(average.get_weights(), model.get_weights())
    validation = made_up().validation_batches(8)
    best = directory.load_model("best").evaluate(
        validation, verbose=0, return_dict=True
    )
    scores = [logs["val_bits_per_dim"] for logs in progress.history]
    np.testing.assert_allclose(best["bits_per_dim"], min(scores), rtol=1e-5)
    assert progress.best == min(scores)
    with model.averaged_weights():
        averaged = model.evaluate(validation, verbose=0, return_dict=True)
    expected = progress.history[-1]["val_average_bits_per_dim"]
    np.testing.assert_allclose(averaged["bits_per_dim"], expected, rtol=1e-5)
    lines = directory.history.read_text().splitlines()
    assert len(lines) == 1 + 3
    for name in ("val_bits_per_dim", "val_average_bits_per_dim", "images_per_second"):
        assert name in lines[0].split(",")


def test_accumulated_batches_update_as_whole_ones_without_batch_norm(tmp_path):
    # With batch normalization they would not: its moments are those of the parts.
    flow = {**CONFIG.flow, "batch_norm": None}
    base = dataclasses.replace(CONFIG, flow=flow, epochs=1, average_decay=None)
    images = np.full([8, 4, 4, 1], 77, np.uint8)
    split = ImageSplit.from_array(images)
    data = ImageData("grey", (4, 4, 1), split, split, split)
    whole, parts = (
        run(
            tmp_path / str(n),
            config=dataclasses.replace(base, accumulate=n, flow=dict(flow)),
            data=data,
        )
        for n in (1, 2)
    )
    assert parts[1].step == 2 * whole[1].step == 2
    assert int(parts[0].optimizer.iterations) == 1
    # Equal images in one update: only the noise differs.
    for a, b in zip(whole[0].get_weights(), parts[0].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=0.021)
    assert any(
        np.any(w != v)
        for w, v in zip(
            parts[0].get_weights(), base.build_model().get_weights(), strict=True
        )
    )


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
    config = dataclasses.replace(CONFIG, epochs=1)
    put_nan(lambda number: number == 4)
    with pytest.raises(FloatingPointError, match="step 5: .*8 of the 8 examples"):
        run(tmp_path / "run", config=config)
    model = config.build_model()
    progress = load_checkpoint(RunDirectory(tmp_path / "run").checkpoint, model)
    assert progress.step == model.step == 4
    assert all(np.all(np.isfinite(w)) for w in model.get_weights())


def test_a_run_whose_first_epoch_was_skipped_goes_on_without_an_average(
    tmp_path, put_nan
):
    config = dataclasses.replace(CONFIG, epochs=2, on_non_finite="skip")
    put_nan(lambda number: number < STEPS)
    model, progress = run(tmp_path / "run", config=config)
    assert progress.skipped_steps == STEPS and model.has_average
    first, second = progress.history
    assert "val_average_bits_per_dim" not in first
    assert "val_average_bits_per_dim" in second


def test_a_checkpoint_of_another_run_is_refused_and_stays(whole, tmp_path):
    path, *_ = whole
    config = dataclasses.replace(CONFIG, flow={**CONFIG.flow, "filters": 4})
    directory = RunDirectory.create(tmp_path / "other", config)
    contents = RunDirectory(path).checkpoint.read_bytes()
    directory.checkpoint.write_bytes(contents)
    with pytest.raises(ValueError, match="belongs to another model"):
        run(directory.path, config=config)
    assert directory.checkpoint.read_bytes() == contents


def test_other_images_are_noticed(whole):
    path, *_ = whole
    with pytest.raises(ValueError, match="resume: expected the images of the check"):
        run(path, data=made_up(shift=1))


def test_all_files_are_there_when_a_run_is_cut_off_after_its_last_checkpoint(
    tmp_path, monkeypatch
):
    config = dataclasses.replace(CONFIG, epochs=1)
    saved = []

    def cut_off(path, *args):
        save_checkpoint(path, *args)
        saved.append(path)
        if args[1].step == STEPS:
            raise KeyboardInterrupt

    monkeypatch.setattr("tfp_realnvp.runs.checkpoint.save_checkpoint", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", config=config)
    directory = RunDirectory(tmp_path / "run")
    assert saved and directory.history.exists()
    for which in ("last", "best", "average"):
        directory.load_model(which)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 2}, "resume: expected epochs as the run began with, 3; got 2"),
        ({"seed": 2}, "resume: expected seed as the run began with, 1; got 2"),
        (
            {"flow": {**CONFIG.flow, "filters": 9}},
            "resume: expected flow.filters as the run began with, 2; got 9",
        ),
    ],
)
def test_a_run_is_not_continued_as_another(change, message, whole):
    path, *_ = whole
    before = RunDirectory(path).load_config()
    CONFIG.check_goes_on_from(before)
    for allowed in ({"data_dir": "moved"}, {"epochs": 4}):
        dataclasses.replace(CONFIG, **allowed).check_goes_on_from(before)
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **change).check_goes_on_from(before)


def test_parts_of_a_batch_must_be_equal():
    with pytest.raises(ValueError, match="accumulate: expected a divisor of the batch"):
        dataclasses.replace(CONFIG, accumulate=3)


def test_another_run_is_kept_by_whatever_name_its_folder_is_reached(tmp_path):
    old = tmp_path / "old" / "config.json"
    old.parent.mkdir()
    old.write_text("theirs")
    with pytest.raises(FileExistsError, match=r"old is not empty\. Choose another"):
        RunDirectory.create(tmp_path / "runs" / ".." / "old", CONFIG)
    assert old.read_text() == "theirs"


@pytest.mark.parametrize("room", [1000, 5000, 9000, 13_000])
def test_weights_that_the_disk_has_no_room_for_are_an_error(room, whole, tmp_path):
    callback = Checkpoints(RunDirectory(tmp_path), Progress(), 1)
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
    with (
        run.lock(),
        pytest.raises(BlockingIOError, match="run: another process is writing into"),
        run.lock(),
    ):
        pass
    assert not list(run.path.iterdir())
    # As a process that was killed leaves it.
    (run.path / ".lock").touch()
    with run.lock():
        RunDirectory.create(run.path, CONFIG)


@pytest.mark.parametrize("preset", nvp.PRESETS)
def test_every_preset_has_a_recipe_that_makes_a_run(preset):
    recipe = recipe_of(preset)
    config = RunConfig("digits", {}, epochs=1, seed=0, **recipe)
    assert {name: getattr(config, name) for name in recipe} == recipe


def test_the_paper_is_trained_by_adam_at_a_constant_rate():
    assert recipe_of("cifar10") == {
        "batch_size": 64,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "warmup_steps": 0,
        "average_decay": None,
    }
    assert set(RECIPES) <= set(nvp.PRESETS)
