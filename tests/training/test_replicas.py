import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).with_name("replica_run.py")


def start(kind, output, **environment):
    return subprocess.Popen(
        [sys.executable, SCRIPT, kind, output],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output[-3000:]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def cluster(ports, index):
    workers = [f"127.0.0.1:{port}" for port in ports]
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": workers}, "task": task})


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    path = tmp_path_factory.mktemp("one") / "run.npz"
    finish(start("none", path))
    return np.load(path)


def assert_same_run(result, one_device):
    assert one_device["replicas"] == 1 and result["replicas"] == 2
    assert len(one_device["steps"]) == 21
    losses = result["steps"][:, 0]
    np.testing.assert_allclose(losses, one_device["steps"][:, 0], rtol=1e-5)
    for name in ("steps", "history", "evaluation"):
        np.testing.assert_allclose(result[name], one_device[name], rtol=1e-4)
    for name in ("weights", "moments", "average"):
        np.testing.assert_allclose(result[name], one_device[name], atol=2e-5)
    # The moving averages have left where they began.
    assert np.std(one_device["moments"]) > 0.1


@pytest.mark.xdist_group("replicas")
def test_two_replicas_train_as_one_device_does(one_device, tmp_path):
    finish(start("mirrored", tmp_path / "run.npz"))
    assert_same_run(np.load(tmp_path / "run.npz"), one_device)


@pytest.mark.xdist_group("replicas")
def test_two_workers_train_as_one_device_does(one_device, tmp_path):
    ports = free_ports(2)
    processes = [
        start("multiworker", tmp_path / "run.npz", TF_CONFIG=cluster(ports, i))
        for i in range(2)
    ]
    for process in processes:
        finish(process)
    assert_same_run(np.load(tmp_path / "run.npz"), one_device)
