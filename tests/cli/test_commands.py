import json
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from small_runs import QUICK, png, refused, status, weights, words

from tfp_realnvp.runs import RunDirectory


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of runs with one in it, `digits`."""
    path = tmp_path_factory.mktemp("runs")
    assert status("train", QUICK, "--runs", path) == 0
    return path


def read(path):
    return json.loads(path.read_text())


def test_training_leaves_all_that_it_promises(runs):
    run = runs / "digits"
    names = {path.name for path in run.iterdir()}
    promised = "best.weights.h5 checkpoint.npz config.json history.csv samples.png"
    promised += " learning_curve.png model.weights.h5 summary.json"
    assert set(promised.split()) <= names
    assert not [name for name in names if name.startswith(".")]
    assert np.any(png(run / "samples.png") < 255)
    summary = read(run / "summary.json")
    assert summary["uniform_bits_per_dim"] == 8
    assert 7 < summary["gaussian_test_bits_per_dim"] < 7.5
    assert 5 < summary["test_bits_per_dim"] < 8
    assert summary["images_per_second"] > 0
    assert (summary["epochs"], summary["steps"], summary["skipped_steps"]) == (1, 21, 0)


def test_evaluation_finds_the_same_bits_per_dim_again(runs, capsys):
    run = runs / "digits"
    assert status("evaluate", run, "--batch-size 64 --draws 8") == 0
    summary, evaluation = (read(run / f"{n}.json") for n in ("summary", "evaluation"))
    assert evaluation["images"] == 300
    # The jitter is another one, and its effect on the mean is measured.
    noise, found = evaluation["spread_over_draws"], evaluation["bits_per_dim"]
    assert 0 < noise < 0.01
    np.testing.assert_allclose(found, summary["test_bits_per_dim"], atol=5 * noise)
    assert "mean over 300 images" in capsys.readouterr().out


def test_samples_are_drawn_repeatably_of_what_is_asked_for(runs, tmp_path):
    run = shutil.copytree(runs / "digits", tmp_path / "digits")
    model = RunDirectory(run).load_model()
    for variable in model.trainable_variables:
        variable.assign(0.5 * variable)
    model.save_weights(run / "best.weights.h5")

    def draw(*options):
        assert status("sample", run, "--count 9", *options) == 0
        return png(run / "samples_drawn.png")

    first = draw()
    assert first.shape == (98, 98, 1)
    np.testing.assert_array_equal(draw(), first)
    for other in ("--seed 1", "--temperature 0.5", "--weights best"):
        assert np.any(draw(other) != first)


def test_a_killed_run_goes_on_to_the_weights_of_one_that_was_not(runs):
    arguments = ["train", QUICK, "--checkpoint-steps 2 --resume --name killed"]
    arguments += ["--runs", runs]
    process = subprocess.Popen(
        [sys.executable, "-m", "tfp_realnvp", *words(*arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    checkpoint = runs / "killed" / "checkpoint.npz"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, output[-2000:]
    assert "a new run begins" in output
    with np.load(checkpoint) as file:
        assert json.loads(str(file["progress"]))["step"] > 0
    assert status(*arguments) == 0
    np.testing.assert_equal(weights(runs / "killed"), weights(runs / "digits"))
    assert not [p for p in (runs / "killed").iterdir() if p.name.startswith(".")]


def test_a_run_goes_on_for_more_epochs(runs, tmp_path, capsys):
    shutil.copytree(runs / "digits", tmp_path / "digits")
    arguments = ["train", QUICK, "--runs", tmp_path, "--resume"]
    assert status(*arguments, "--epochs", "2") == 0
    said = capsys.readouterr().out
    assert "2 epochs instead of 1: the learning rate continues on a trapezoid" in said
    assert "Going on after step 21 of 42." in said
    assert "\nepoch 2/2, " in said and "\nepoch 1/" not in said
    assert not {"\r", "\b", "\x1b"} & set(said)
    assert read(tmp_path / "digits" / "summary.json")["epochs"] == 2
    message = "resume: expected epochs as the run began with, 2"
    assert message in refused(capsys, *arguments)


def test_a_dry_run_tells_the_cost_makes_a_step_and_writes_no_run(tmp_path, capsys):
    arguments = ["train", QUICK, "--runs", tmp_path / "runs", "--dry-run"]
    assert status(*arguments, "--num-scales 2 --strategy mirrored") == 0
    output = capsys.readouterr().out
    for text in (
        *("21 steps of 64 images", "parameters: ", "latents, finest first: 4 x 4 x 2"),
        *("FLOP", "Peak", "A second step: ", "bits/dim"),
    ):
        assert text in output, text
    assert not (tmp_path / "runs").exists()


def test_all_that_training_can_be_told_works_together(tmp_path, capsys):
    options = "--strategy mirrored --precision mixed_bfloat16 --average-decay 0.9 "
    options += "--tensorboard --on-non-finite skip --memory recompute"
    assert status("train", QUICK, "--runs", tmp_path, options) == 0
    assert "With averaged weights: " in capsys.readouterr().out
    run = tmp_path / "digits"
    assert list((run / "tensorboard").iterdir())
    assert status("evaluate", run, "--weights average") == 0
    found, summary = read(run / "evaluation.json"), read(run / "summary.json")
    assert found["weights"] == "average"
    expected = summary["average_test_bits_per_dim"]
    np.testing.assert_allclose(found["bits_per_dim"], expected, atol=0.002)


def test_a_run_is_never_overwritten_or_resumed_as_another(runs, capsys):
    arguments = ["train", QUICK, "--runs", runs, "--name", "digits"]
    before = (runs / "digits" / "summary.json").stat().st_mtime_ns
    error = refused(capsys, *arguments)
    assert "run: " in error and "is not empty" in error and "--overwrite" in error
    error = refused(capsys, *arguments, "--resume --learning-rate 0.5")
    assert "resume: expected learning_rate as the run began with, 0.004" in error
    assert (runs / "digits" / "summary.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--dataset cifar10 --data-dir .", "cifar10 is not prepared"),
        ("--preset cifar10-small --data-dir .", "cifar10 is not prepared"),
        ("--preset imagenet64 --data-dir .", "64x64 is not prepared in"),
        ("--preset celeba --data-dir .", "celeb_a is not prepared"),
        ("--preset lsun_tower --data-dir .", "expected tower_train_lmdb"),
        ("--dataset folder:nowhere", "dataset: expected a folder"),
        ("--num-scales 5", "num_scales: expected at most"),
        ("--accumulate 3", "accumulate: expected a divisor of the batch size, 64"),
        ("--dataset photos --conditional", "conditional: expected False, since"),
        ("--strategy multiworker", "strategy: expected TF_CONFIG like"),
        ("--seeds 1 1", "seeds: expected distinct seeds, got [1, 1]"),
    ],
)
def test_bad_arguments_end_training_before_it_begins(
    arguments, message, tmp_path, capsys
):
    runs = tmp_path / "runs"
    assert message in refused(capsys, "train", arguments, "--runs", runs)
    assert not runs.exists()


def half(path):
    contents = path.read_bytes()
    path.write_bytes(contents[: len(contents) // 2])


@pytest.mark.parametrize(
    ("change", "name", "options", "message"),
    [
        (pathlib.Path.unlink, "config.json", "", "without config.json"),
        (half, "config.json", "", "config.json is damaged"),
        (pathlib.Path.unlink, "model.weights.h5", "", "holds no weights model.weights"),
        (half, "model.weights.h5", "", "model.weights.h5 is damaged"),
        (pathlib.Path.touch, "x", "--weights average", "no weights average.weig"),
        (pathlib.Path.touch, "x", "--output .", "output: expected a file in a"),
        (pathlib.Path.touch, "x", "--output no/x.png", "output: expected a file"),
    ],
)
def test_runs_and_outputs_that_are_not_there_are_refused(
    change, name, options, message, runs, tmp_path, capsys
):
    run = shutil.copytree(runs / "digits", tmp_path / "run")
    change(run / name)
    before = sorted(tmp_path.rglob("*"))
    assert message in refused(capsys, "sample", run, options)
    assert sorted(tmp_path.rglob("*")) == before
