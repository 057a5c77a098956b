import json
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp.cli import main
from tfp_realnvp.runs import RunDirectory

QUICK = ["--num-scales", "1", "--filters", "4", "--num-blocks", "1", "--epochs", "1"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of runs with one in it, `digits`."""
    path = tmp_path_factory.mktemp("runs")
    assert main(["train", *QUICK, "--runs", str(path)]) == 0
    return path


def png(path):
    return tf.io.decode_png(path.read_bytes()).numpy()


def test_training_leaves_all_that_it_promises(runs):
    names = {p.name for p in (runs / "digits").iterdir()}
    assert {
        "best.weights.h5",
        "checkpoint.npz",
        "config.json",
        "history.csv",
        "learning_curve.png",
        "model.weights.h5",
        "samples.png",
        "summary.json",
    } <= names
    assert not [name for name in names if name.startswith(".")]
    assert np.any(png(runs / "digits" / "samples.png") < 255)

    summary = json.loads((runs / "digits" / "summary.json").read_text())
    assert summary["uniform_bits_per_dim"] == 8
    assert 7 < summary["gaussian_test_bits_per_dim"] < 7.5
    assert 5 < summary["test_bits_per_dim"] < 8
    assert summary["images_per_second"] > 0
    assert (summary["epochs"], summary["steps"], summary["skipped_steps"]) == (1, 21, 0)


def test_evaluation_finds_the_same_bits_per_dim_again(runs, capsys):
    options = ["--batch-size", "64", "--draws", "8"]
    assert main(["evaluate", str(runs / "digits"), *options]) == 0
    summary = json.loads((runs / "digits" / "summary.json").read_text())
    evaluation = json.loads((runs / "digits" / "evaluation.json").read_text())
    assert evaluation["images"] == 300
    # The jitter is another one, and its effect on the mean is measured.
    noise = evaluation["spread_over_draws"]
    assert 0 < noise < 0.01
    np.testing.assert_allclose(
        evaluation["bits_per_dim"], summary["test_bits_per_dim"], atol=5 * noise
    )
    assert "mean over 300 images" in capsys.readouterr().out


def test_samples_are_drawn_from_the_trained_flow_repeatably(runs, tmp_path):
    def draw(name, *options):
        path = tmp_path / name
        arguments = ["sample", str(runs / "digits"), "--output", str(path)]
        assert main([*arguments, "--count", "9", *options]) == 0
        return png(path)

    first = draw("a.png")
    assert first.shape == (98, 98, 1)
    np.testing.assert_array_equal(draw("b.png"), first)
    assert np.any(draw("c.png", "--seed", "1") != first)
    assert np.any(draw("d.png", "--temperature", "0.5") != first)


def test_samples_are_of_the_weights_that_are_asked_for(runs, tmp_path):
    run = shutil.copytree(runs / "digits", tmp_path / "digits")
    model = RunDirectory(run).load_model()
    for variable in model.trainable_variables:
        variable.assign(0.5 * variable)
    model.save_weights(run / "best.weights.h5")
    drawn = []
    for which in ("last", "best"):
        path = tmp_path / f"{which}.png"
        arguments = ["--weights", which, "--output", str(path), "--count", "9"]
        assert main(["sample", str(run), *arguments]) == 0
        drawn.append(png(path))
    assert np.any(drawn[0] != drawn[1])


def weights(directory):
    with h5py.File(directory / "model.weights.h5") as file:
        found = {}
        file.visititems(lambda name, item: found.update({name: item}))
        return {k: v[()] for k, v in found.items() if isinstance(v, h5py.Dataset)}


def test_a_killed_run_goes_on_to_the_weights_of_one_that_was_not(runs):
    arguments = ["train", *QUICK, "--runs", str(runs), "--name", "killed"]
    arguments += ["--checkpoint-steps", "2", "--resume"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tfp_realnvp", *arguments],
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
    assert main(arguments) == 0
    expected, found = weights(runs / "digits"), weights(runs / "killed")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert not [p for p in (runs / "killed").iterdir() if p.name.startswith(".")]


def test_a_run_is_not_resumed_with_other_arguments(runs, capsys):
    arguments = ["train", *QUICK, "--runs", str(runs), "--name", "digits", "--resume"]
    assert main([*arguments, "--learning-rate", "0.5"]) == 2
    error = capsys.readouterr().err
    assert "resume: expected learning_rate as the run began with, 0.004" in error


def test_a_run_goes_on_for_more_epochs(runs, tmp_path, capsys):
    shutil.copytree(runs / "digits", tmp_path / "digits")
    arguments = ["train", *QUICK, "--runs", str(tmp_path), "--resume"]
    assert main([*arguments, "--epochs", "2"]) == 0
    said = capsys.readouterr().out
    assert (
        "2 epochs for 1: the learning rate's trapezoid schedule goes on as one" in said
    )
    assert "Going on after step 21 of 42." in said
    lines = said.splitlines()
    assert [line for line in lines if line.startswith("epoch 2/2, ")]
    assert not [line for line in lines if line.startswith("epoch 1/")]
    assert not {"\r", "\b", "\x1b"} & set(said)
    assert json.loads((tmp_path / "digits" / "summary.json").read_text())["epochs"] == 2
    assert main(arguments) == 2
    assert "resume: expected epochs as the run began with, 2" in capsys.readouterr().err


def test_a_full_disk_ends_the_run_with_a_message_and_nothing_half_written(tmp_path):
    def limit():
        # No file may grow beyond this; the checkpoint would.
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    arguments = ["train", *QUICK, "--runs", str(tmp_path), "--checkpoint-steps", "1"]
    result = subprocess.run(
        [sys.executable, "-m", "tfp_realnvp", *arguments],
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )
    assert result.returncode == 2, result.stderr[-2000:]
    assert "tfp-realnvp train: error: [Errno 27] File too large" in result.stderr
    assert [p.name for p in (tmp_path / "digits").iterdir()] == ["config.json"]


def test_a_dry_run_tells_the_cost_makes_a_step_and_writes_no_run(tmp_path, capsys):
    arguments = ["train", *QUICK, "--runs", str(tmp_path / "runs"), "--dry-run"]
    assert main([*arguments, "--num-scales", "2", "--strategy", "mirrored"]) == 0
    output = capsys.readouterr().out
    for text in (
        "21 steps of 64 images",
        "parameters: ",
        "2 x 4 x 4, ",
        "FLOP",
        "peak",
    ):
        assert text in output.replace("4 x 4 x 2", "2 x 4 x 4"), text
    assert "A second step: " in output and "bits/dim" in output
    assert not (tmp_path / "runs").exists()


def test_all_that_training_can_be_told_works_together(tmp_path, capsys):
    arguments = ["train", *QUICK, "--runs", str(tmp_path), "--strategy", "mirrored"]
    arguments += ["--precision", "mixed_bfloat16", "--average-decay", "0.9"]
    arguments += ["--tensorboard", "--on-non-finite", "skip", "--memory", "recompute"]
    assert main(arguments) == 0
    assert "With averaged weights: " in capsys.readouterr().out
    run = tmp_path / "digits"
    assert list((run / "tensorboard").iterdir())
    summary = json.loads((run / "summary.json").read_text())
    assert main(["evaluate", str(run), "--weights", "average"]) == 0
    found = json.loads((run / "evaluation.json").read_text())
    assert found["weights"] == "average"
    np.testing.assert_allclose(
        found["bits_per_dim"],
        summary["average_test_bits_per_dim"],
        atol=0.002,
    )


def test_a_run_is_never_overwritten_unless_asked_to(runs, capsys):
    arguments = ["train", *QUICK, "--runs", str(runs), "--name", "digits"]
    before = (runs / "digits" / "summary.json").stat().st_mtime_ns
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "run: " in error and "is not empty" in error and "--overwrite" in error
    assert (runs / "digits" / "summary.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "cifar10", "--data-dir", "."], "cifar10 is not prepared"),
        (["--preset", "cifar10-small", "--data-dir", "."], "cifar10 is not prepared"),
        (["--preset", "imagenet64", "--data-dir", "."], "64x64 is not prepared in"),
        (["--preset", "celeba", "--data-dir", "."], "celeb_a is not prepared"),
        (["--preset", "lsun_tower", "--data-dir", "."], "expected tower_train_lmdb"),
        (["--dataset", "folder:nowhere"], "dataset: expected a folder"),
        (["--num-scales", "5"], "num_scales: expected at most"),
        (["--accumulate", "3"], "accumulate: expected a divisor of the batch size, 64"),
        (
            ["--dataset", "photos", "--conditional"],
            "conditional: expected False, for there are no classes",
        ),
        (["--strategy", "multiworker"], "strategy: expected TF_CONFIG like"),
    ],
)
def test_bad_arguments_end_training_before_it_begins(
    arguments, message, tmp_path, capsys
):
    assert main(["train", *arguments, "--runs", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfp-realnvp train: error: ")
    assert message in error
    assert not (tmp_path / "runs").exists()


def half(path):
    contents = path.read_bytes()
    path.write_bytes(contents[: len(contents) // 2])


@pytest.mark.parametrize(
    ("name", "change", "options", "message"),
    [
        ("config.json", pathlib.Path.unlink, [], "without config.json"),
        ("config.json", half, [], "config.json is damaged"),
        ("model.weights.h5", pathlib.Path.unlink, [], "holds no weights model.weig"),
        ("model.weights.h5", half, [], "model.weights.h5 is damaged"),
        ("x", pathlib.Path.touch, ["--weights", "average"], "no weights average.weig"),
        ("x", pathlib.Path.touch, ["--output", "."], "output: expected a file in a"),
        ("x", pathlib.Path.touch, ["--output", "no/x.png"], "output: expected a file"),
    ],
)
def test_runs_and_outputs_that_are_not_there_are_refused(
    name, change, options, message, runs, tmp_path, capsys
):
    run = shutil.copytree(runs / "digits", tmp_path / "run")
    change(run / name)
    before = sorted(tmp_path.rglob("*"))
    assert main(["sample", str(run), *options]) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
