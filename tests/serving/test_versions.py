import hashlib
import json
import os

import pytest

from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.serving import next_version, run_origin


def test_versions_are_counted_from_the_highest_that_is_there(tmp_path):
    assert next_version(tmp_path / "new") == tmp_path / "new" / "1"
    for name in ("1", "9", "10", "old", "11.bak", ".123.12"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == tmp_path / "11"
    (tmp_path / "1" / "saved_model.pb").touch()
    for name, kind in (("1/saved_model.pb", "file"), ("1", "SavedModel itself")):
        with pytest.raises(FileExistsError, match=f"directory: .* is a {kind}"):
            next_version(tmp_path / name)


@pytest.fixture
def directory(tmp_path):
    """A run with its configuration, and weights that cannot be loaded."""
    config = RunConfig("digits", {"event_shape": (8, 8, 1)}, 64, 1, 1e-3, seed=0)
    directory = RunDirectory.create(tmp_path / "run", config)
    for weights in ("last", "best", "average"):
        directory.weights(weights).write_bytes(weights.encode())
        os.utime(directory.weights(weights), (100, 100))
    return directory


def write(directory, name, text, *, time=200):
    path = directory.path / name
    path.write_text(text)
    os.utime(path, (time, time))


def test_the_origin_names_the_data_the_configuration_and_the_weights(directory):
    origin = run_origin(directory, "best")
    assert (origin["dataset"], origin["weights"]) == ("digits", "best")
    assert origin["weights_sha256"] == hashlib.sha256(b"best").hexdigest()
    assert origin["config"]["flow"] == {"event_shape": [8, 8, 1]}
    assert origin["bits_per_dim"] is None
    directory.weights("best").unlink()
    with pytest.raises(FileNotFoundError, match=r"best\.weights\.h5"):
        run_origin(directory, "best")


def test_bits_per_dim_are_those_of_the_very_weights(directory):
    summary = {"test_bits_per_dim": 3.5, "best_validation_bits_per_dim": 3.25}
    summary = json.dumps({**summary, "average_test_bits_per_dim": 3.0})
    found = {"value": 3.125, "split": "test", "images": 40, "standard_error": 0.5}
    names = "bits_per_dim", "split", "images", "standard_error_over_images"
    evaluation = dict(zip(names, found.values(), strict=True))
    evaluation = json.dumps({"weights": "best", **evaluation})

    def bits(weights):
        return run_origin(directory, weights)["bits_per_dim"]

    write(directory, "summary.json", summary, time=99)
    write(directory, "evaluation.json", evaluation, time=99)
    # Measured before the weights were written.
    assert bits("last") is bits("best") is None
    write(directory, "summary.json", summary)
    assert bits("last") == {"value": 3.5, "split": "test"}
    assert bits("best") == {"value": 3.25, "split": "validation"}
    assert bits("average") == {"value": 3.0, "split": "test"}
    write(directory, "evaluation.json", evaluation)
    assert bits("last")["value"] == 3.5
    assert bits("best") == found


OF_NO_NUMBER = [f'{{"test_bits_per_dim": {value}}}' for value in ('"3.5"', "NaN")]


@pytest.mark.parametrize("text", ["{", "[1]", "\xff", *OF_NO_NUMBER])
def test_damaged_files_are_named(directory, text):
    write(directory, "summary.json", text)
    with pytest.raises(ValueError, match="run: .*summary.json is damaged"):
        run_origin(directory)
