import json

import h5py
import numpy as np
import pytest

from tfp_realnvp.cli import main

# One worker makes the fixtures for all.
pytestmark = pytest.mark.xdist_group("train_seeds")

TINY = ["--num-scales", "1", "--filters", "2", "--num-blocks", "1", "--epochs", "1"]


def train(runs, *options):
    return main(["train", *TINY, "--runs", str(runs), *options])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of runs with one of seed 7, and one of folders for seeds 2 and 7."""
    path = tmp_path_factory.mktemp("runs")
    assert train(path, "--name", "alone", "--seed", "7") == 0
    assert train(path, "--seeds", "2", "7") == 0
    return path


def weights(run):
    with h5py.File(run / "model.weights.h5") as file:
        found = {}
        file.visititems(lambda name, item: found.update({name: item}))
        return {k: v[()] for k, v in found.items() if isinstance(v, h5py.Dataset)}


def test_a_run_after_another_is_the_run_of_its_seed_alone(runs):
    expected, found = weights(runs / "alone"), weights(runs / "digits" / "seed-7")
    other = weights(runs / "digits" / "seed-2")
    assert found.keys() == expected.keys() == other.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert any(np.any(other[name] != value) for name, value in expected.items())


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
    assert train(runs, "--seeds", "2", "7", "--resume") == 0
    printed = capsys.readouterr().out
    assert "Going on after step 21 of 21." in printed
    assert "seed-7 is finished." in printed and "seed-2 is finished." not in printed
    assert finished.stat().st_mtime_ns == before
    assert (cut_off / "summary.json").exists()
    assert (runs / "digits" / "evaluation.md").exists()


def refused(capsys, runs, *options):
    assert train(runs, *options) == 2
    return capsys.readouterr().err


def test_seeds_are_not_gone_on_with_as_other_runs(runs, capsys):
    options = ["--seeds", "2", "7", "--resume", "--learning-rate", "0.5"]
    message = refused(capsys, runs, *options)
    assert "resume: expected learning_rate as the run began with, 0.004" in message
    assert (runs / "digits" / "evaluation.json").exists()


def test_seeds_do_not_go_into_a_folder_that_is_taken(runs, capsys):
    taken = refused(capsys, runs, "--seeds", "2", "--name", "digits")
    assert "is not empty" in taken
    assert (runs / "digits" / "evaluation.json").exists()


def test_a_seed_given_twice_is_refused(tmp_path, capsys):
    message = refused(capsys, tmp_path, "--seeds", "1", "1")
    assert "seeds: expected different ones, got [1, 1]" in message
    assert not list(tmp_path.iterdir())


def test_the_folder_of_all_seeds_is_told_from_that_of_a_run(runs, capsys):
    assert main(["evaluate", str(runs / "digits")]) == 2
    assert "a run into each of its folders seed-*" in capsys.readouterr().err
