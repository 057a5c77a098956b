import hashlib
import json
import math
import os

import pytest

from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.serving import run_origin

SUMMARY = {
    "test_bits_per_dim": 3.5,
    "best_validation_bits_per_dim": 3.25,
    "average_test_bits_per_dim": 3.0,
}
EVALUATION = {
    "weights": "best",
    "bits_per_dim": 3.125,
    "split": "test",
    "images": 40,
    "standard_error_over_images": 0.5,
}


@pytest.fixture
def directory(tmp_path):
    """A run of which only the words are there, and no weights to load."""
    config = RunConfig("digits", {"event_shape": (8, 8, 1)}, 64, 1, 1e-3, seed=0)
    directory = RunDirectory.create(tmp_path / "run", config)
    for weights in ("last", "best", "average"):
        directory.weights(weights).write_bytes(weights.encode())
        os.utime(directory.weights(weights), (100, 100))
    return directory


def write(directory, name, values, *, time=200):
    path = directory.path / name
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    os.utime(path, (time, time))


def bits(directory, weights):
    return run_origin(directory, weights)["bits_per_dim"]


def test_the_origin_names_the_data_the_configuration_and_the_weights(directory):
    origin = run_origin(directory, "best")
    assert (origin["dataset"], origin["weights"]) == ("digits", "best")
    assert origin["weights_sha256"] == hashlib.sha256(b"best").hexdigest()
    assert origin["config"]["flow"] == {"event_shape": [8, 8, 1]}
    assert origin["bits_per_dim"] is None


def test_bits_per_dim_are_those_of_the_very_weights(directory):
    write(directory, "summary.json", SUMMARY)
    assert bits(directory, "last") == {"value": 3.5, "split": "test"}
    assert bits(directory, "best") == {"value": 3.25, "split": "validation"}
    assert bits(directory, "average") == {"value": 3.0, "split": "test"}
    write(directory, "evaluation.json", EVALUATION)
    assert bits(directory, "last")["value"] == 3.5
    found = {"value": 3.125, "split": "test", "images": 40, "standard_error": 0.5}
    assert bits(directory, "best") == found


def test_what_was_measured_before_the_weights_were_written_does_not_count(directory):
    write(directory, "summary.json", SUMMARY, time=99)
    write(directory, "evaluation.json", EVALUATION, time=99)
    assert bits(directory, "last") is bits(directory, "best") is None


@pytest.mark.parametrize("text", ["{", "[1]", "\xff"])
def test_damaged_files_are_named(directory, text):
    write(directory, "evaluation.json", text)
    with pytest.raises(ValueError, match="run: .*evaluation.json is damaged"):
        run_origin(directory)


@pytest.mark.parametrize("value", ["3.5", math.nan, [3.5]])
def test_bits_per_dim_that_are_no_number_are_named(directory, value):
    write(directory, "summary.json", {"test_bits_per_dim": value})
    with pytest.raises(ValueError, match="summary.json is damaged: .*test_bits_per"):
        run_origin(directory)


def test_weights_that_are_not_there_are_an_error(directory):
    directory.weights("best").unlink()
    with pytest.raises(FileNotFoundError, match=r"best\.weights\.h5"):
        run_origin(directory, "best")
