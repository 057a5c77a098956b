import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp.cli import main

QUICK = ["--filters", "4", "--num-blocks", "1", "--epochs", "1"]


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
        "config.json",
        "history.csv",
        "learning_curve.png",
        "model.weights.h5",
        "samples.png",
        "summary.json",
    } <= names
    assert not [name for name in names if name.startswith(".")]
    assert np.any(png(runs / "digits" / "samples.png") < 255)


def test_the_summary_reports_the_flow_beside_trivial_models(runs):
    summary = json.loads((runs / "digits" / "summary.json").read_text())
    assert summary["uniform_bits_per_dim"] == 8
    assert 7 < summary["gaussian_test_bits_per_dim"] < 7.5
    assert 5 < summary["test_bits_per_dim"] < 8
    assert summary["images_per_second"] > 0


def test_evaluation_finds_the_same_bits_per_dim_again(runs, capsys):
    assert main(["evaluate", str(runs / "digits"), "--batch-size", "64"]) == 0
    summary = json.loads((runs / "digits" / "summary.json").read_text())
    evaluation = json.loads((runs / "digits" / "evaluation.json").read_text())
    assert evaluation["images"] == 300
    np.testing.assert_allclose(
        evaluation["test_bits_per_dim"], summary["test_bits_per_dim"], rtol=1e-5
    )
    assert "on 300 test images" in capsys.readouterr().out


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


def test_two_runs_with_one_seed_have_the_same_history(runs):
    assert main(["train", *QUICK, "--runs", str(runs)]) == 0
    histories = [
        (runs / name / "history.csv").read_text() for name in ("digits", "digits-2")
    ]
    assert histories[0] == histories[1]


def test_own_images_are_trained_on(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(40):
        image = rng.integers(0, 256, [10, 10, 3], np.uint8)
        (tmp_path / f"{i:02d}.png").write_bytes(tf.io.encode_png(image).numpy())
    arguments = ["train", *QUICK, "--dataset", f"folder:{tmp_path}"]
    arguments += ["--image-size", "8", "--batch-size", "16", "--runs"]
    assert main([*arguments, str(tmp_path / "runs")]) == 0
    assert png(tmp_path / "runs" / "folder" / "samples.png").shape[-1] == 3


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
        (["--preset", "mnist"], "preset: expected one of"),
        (["--dataset", "mnist"], "dataset: expected digits"),
        (["--dataset", "cifar10", "--data-dir", "."], "cifar10 is not prepared"),
        (["--dataset", "folder:nowhere"], "dataset: expected a folder"),
        (["--batch-size", "0"], "batch_size: expected a positive number, got 0"),
        (["--epochs", "0"], "epochs: expected a positive number, got 0"),
        (["--minutes", "-1"], "minutes: expected a positive number, got -1"),
        (["--learning-rate", "nan"], "learning_rate: expected a positive number"),
        (["--num-scales", "5"], "event_shape: expected height and width divisible"),
        (["--filters", "0"], "filters: expected a positive int, got 0"),
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


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    for command in ("sample", "evaluate"):
        assert main([command, str(tmp_path)]) == 2
        assert "without config.json" in capsys.readouterr().err


def test_a_run_without_weights_is_refused(runs, tmp_path, capsys):
    config = (runs / "digits" / "config.json").read_text()
    (tmp_path / "config.json").write_text(config)
    assert main(["sample", str(tmp_path)]) == 2
    assert "holds no weights" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["config", "weights"])
def test_a_damaged_run_is_refused(damage, runs, tmp_path, capsys):
    config = (runs / "digits" / "config.json").read_text()
    weights = (runs / "digits" / "model.weights.h5").read_bytes()
    if damage == "config":
        config = config[: len(config) // 2]
    else:
        weights = weights[: len(weights) // 2]
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "model.weights.h5").write_bytes(weights)
    assert main(["sample", str(tmp_path)]) == 2
    assert "damaged" in capsys.readouterr().err


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "tfp_realnvp", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "train" in result.stdout
