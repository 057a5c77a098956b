import json

import numpy as np
import pytest
from small_runs import QUICK, refused, status, weights

# One worker makes the fixtures for all.
pytestmark = pytest.mark.xdist_group("train_seeds")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of runs with one of seed 7, and one of folders for seeds 2 and 7."""
    path = tmp_path_factory.mktemp("runs")
    train = ["train", QUICK, "--runs", path]
    assert status(*train, "--name alone --seed 7") == 0
    assert status(*train, "--seeds 2 7") == 0
    return path


def test_a_run_after_another_is_the_run_of_its_seed_alone(runs):
    found = weights(runs / "digits" / "seed-7")
    np.testing.assert_equal(found, weights(runs / "alone"))
    other = weights(runs / "digits" / "seed-2")
    assert any(np.any(other[name] != value) for name, value in found.items())


def test_runs_of_all_seeds_are_scored_together(runs):
    both = json.loads((runs / "digits" / "evaluation.json").read_text())
    assert both["training_seeds"] == [2, 7]
    for seed, bits in zip((2, 7), both["bits_per_dim_by_seed"], strict=True):
        run = runs / "digits" / f"seed-{seed}"
        own = json.loads((run / "evaluation.json").read_text())
        summary = json.loads((run / "summary.json").read_text())
        assert own["bits_per_dim"] == bits
        np.testing.assert_allclose(bits, summary["test_bits_per_dim"], atol=0.002)
    table = (runs / "digits" / "evaluation.md").read_text()
    assert f"{both['standard_error_over_seeds']:.3f} |" in table


def test_runs_that_have_ended_are_not_trained_again(runs, capsys):
    finished = runs / "digits" / "seed-7" / "model.weights.h5"
    before = finished.stat().st_mtime_ns
    cut_off = runs / "digits" / "seed-2"
    (cut_off / "summary.json").unlink()
    (runs / "digits" / "evaluation.md").unlink()
    train = ["train", QUICK, "--runs", runs, "--seeds 2 7 --resume"]
    assert status(*train) == 0
    printed = capsys.readouterr().out
    assert "Going on after step 21 of 21." in printed
    assert "seed-7 is finished." in printed and "seed-2 is finished." not in printed
    assert finished.stat().st_mtime_ns == before
    assert (cut_off / "summary.json").exists()
    assert (runs / "digits" / "evaluation.md").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--resume --learning-rate 0.5", "resume: expected learning_rate as the run"),
        ("--name digits", "is not empty"),
    ],
)
def test_seeds_are_not_trained_over_other_runs(options, message, runs, capsys):
    train = [QUICK, options, "--seeds 2 7 --runs", runs]
    assert message in refused(capsys, "train", *train)
    assert (runs / "digits" / "evaluation.json").exists()


def test_the_folder_of_all_seeds_is_told_from_that_of_a_run(runs, capsys):
    error = refused(capsys, "evaluate", runs / "digits")
    assert "a run into each of its folders seed-*" in error
