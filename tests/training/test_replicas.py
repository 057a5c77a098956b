import pathlib

import numpy as np
import pytest
from workers import finish, start, start_workers

SCRIPT = pathlib.Path(__file__).parents[1] / "replica_run.py"


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    path = tmp_path_factory.mktemp("one")
    finish(start(SCRIPT, "none", path, "stored"))
    return np.load(path / "stored.npz")


@pytest.fixture(scope="module")
def two_replicas(tmp_path_factory):
    """A folder with one run for each memory."""
    path = tmp_path_factory.mktemp("two")
    finish(start(SCRIPT, "mirrored", path, "stored", "recompute"))
    return path


def assert_same_run(result, one_device):
    assert one_device["replicas"] == 1 and result["replicas"] == 2
    assert len(one_device["steps"]) == 21
    losses = result["steps"][:, 0]
    np.testing.assert_allclose(losses, one_device["steps"][:, 0], rtol=1e-5)
    for name in ("steps", "history", "evaluation"):
        np.testing.assert_allclose(result[name], one_device[name], rtol=1e-4)
    for name in ("weights", "moments", "average"):
        np.testing.assert_allclose(result[name], one_device[name], atol=2e-5)
    if len(result["predictions"]):
        expected = one_device["predictions"]
        np.testing.assert_allclose(result["predictions"], expected, rtol=1e-5)
    # The moving averages have left where they began.
    assert np.std(one_device["moments"]) > 0.1


@pytest.mark.xdist_group("replicas")
@pytest.mark.parametrize("memory", ["stored", "recompute"])
def test_two_replicas_train_as_one_device_does(one_device, two_replicas, memory):
    assert_same_run(np.load(two_replicas / f"{memory}.npz"), one_device)


@pytest.mark.xdist_group("replicas")
def test_two_workers_train_as_one_device_does(one_device, tmp_path):
    for process in start_workers(2, SCRIPT, "multiworker", tmp_path, "stored"):
        finish(process)
    assert_same_run(np.load(tmp_path / "stored.npz"), one_device)
