import pathlib

import pytest
import tensorflow as tf
from tensorflow.python.client import device_lib

from tfp_realnvp import machine


def test_available_memory_is_what_the_machine_or_its_container_tells(monkeypatch):
    monkeypatch.setattr(machine, "_of_container", lambda: None)
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    total = next(int(x.split()[1]) for x in lines if x.startswith("MemTotal:"))
    assert 0.001 * total < machine.available_bytes() / 1024 < total
    monkeypatch.setattr(machine, "_of_machine", lambda: None)
    assert machine.available_bytes() is None
    monkeypatch.setattr(machine, "_of_container", lambda: 5)
    assert machine.available_bytes() == 5


@pytest.mark.parametrize(("limit", "left"), [("1000", 1000 - 700 + 500), ("max", None)])
def test_a_container_gives_up_cached_files(limit, left, monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text("700\n")
    statistics = "anon 200\ninactive_file 400\nactive_file 100\n"
    (tmp_path / "memory.stat").write_text(statistics)
    monkeypatch.setattr(machine, "_CONTROL_GROUP", tmp_path)
    assert machine._of_container() == left


def test_on_a_gpu_its_own_memory_counts(monkeypatch):
    class Device:
        name = "/device:GPU:0"
        memory_limit = 1000

    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [Device()])
    monkeypatch.setattr(device_lib, "list_local_devices", lambda: [Device()])
    monkeypatch.setattr(
        tf.config.experimental, "get_memory_info", lambda name: {"current": 300}
    )
    assert machine.available_bytes() == 700
