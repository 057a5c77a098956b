import json
import time

import numpy as np
import pytest
from small_runs import QUICK, status, words
from workers import finish, start_workers

pytestmark = pytest.mark.xdist_group("replicas")


def arguments(runs, *options):
    return words("train", QUICK, "--name run --runs", runs, *options)


def test_two_workers_end_with_the_figures_of_one(tmp_path):
    several = ["-m", "tfp_realnvp", *arguments(tmp_path / "two")]
    outputs = [finish(process) for process in start_workers(2, *several)]
    assert all("Replicas: 2." in text for text in outputs)
    assert "Wrote " in outputs[0] and "Wrote " not in outputs[1]
    assert status(*arguments(tmp_path / "one")) == 0
    two, one = (
        json.loads((tmp_path / name / "run" / "summary.json").read_text())
        for name in ("two", "one")
    )
    for name in ("train_bits_per_dim", "test_bits_per_dim"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4)
    assert two["steps"] == one["steps"]


def test_a_dead_worker_ends_the_others_with_a_message_and_a_good_checkpoint(tmp_path):
    options = arguments(tmp_path, "--checkpoint-steps 2 --epochs 50")
    command = ["-m", "tfp_realnvp", *options]
    chief, other = start_workers(2, *command)
    checkpoint = tmp_path / "run" / "checkpoint.npz"
    while not checkpoint.exists() and chief.poll() is None:
        time.sleep(0.1)
    other.kill()
    other.communicate()
    output = finish(chief, returncode=2)
    assert "error: strategy: another worker is gone or out of reach" in output
    assert "--resume" in output.splitlines()[-1]
    with np.load(checkpoint) as file:
        assert all(np.all(np.isfinite(file[n])) for n in file.files if n != "progress")
        assert json.loads(str(file["progress"]))["step"] % 2 == 0
