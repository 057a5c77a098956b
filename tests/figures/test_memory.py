import pathlib

import pytest
import tensorflow as tf
from tensorflow.python.client import device_lib

import tfp_realnvp as nvp
from tfp_realnvp.figures import estimated_bytes, memory


def flow_of(**sizes):
    return nvp.image_flow(event_shape=(8, 8, 1), num_blocks=1, seed=0, **sizes)


def test_memory_grows_with_pixels_and_pictures(flow):
    needed = estimated_bytes(flow, 80, 160)
    assert needed == 200 * estimated_bytes(flow, 8, 8)
    # Latents and the result of a second one.
    more = estimated_bytes(flow, 80, 160, count=2) - needed
    assert more == 80 * 160 * 4 * memory._KEPT_IMAGES


def test_the_widest_network_in_its_own_dtype_counts(flow):
    # The flow has 4 hidden maps, of 4 bytes a number.
    needed = estimated_bytes(flow, 80, 160)
    of_maps = 80 * 160 * 4 * 4 * memory._HIDDEN_MAPS
    wider = estimated_bytes(flow_of(filters=8), 80, 160)
    assert wider == needed + of_maps
    halved = estimated_bytes(
        flow_of(filters=4, network_dtype="mixed_bfloat16"), 80, 160
    )
    assert halved == needed - of_maps / 2


def test_scales_are_not_there_at_once(flow, by_class):
    assert estimated_bytes(flow, 80, 80) == estimated_bytes(by_class, 80, 80)


def test_available_memory_is_what_the_machine_tells(monkeypatch):
    monkeypatch.setattr(memory, "_of_container", lambda: None)
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    total = next(int(x.split()[1]) for x in lines if x.startswith("MemTotal:"))
    assert 0.001 * total < memory.available_bytes() / 1024 < total


def test_a_container_can_have_less_than_the_machine(monkeypatch):
    monkeypatch.setattr(memory, "_of_container", lambda: 5)
    assert memory.available_bytes() == 5


@pytest.mark.parametrize(("limit", "left"), [("1000", 1000 - 700 + 500), ("max", None)])
def test_a_container_gives_up_cached_files(limit, left, monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text("700\n")
    statistics = "anon 200\ninactive_file 400\nactive_file 100\n"
    (tmp_path / "memory.stat").write_text(statistics)
    monkeypatch.setattr(memory, "_CONTROL_GROUP", tmp_path)
    assert memory._of_container() == left


def test_a_machine_that_does_not_tell_has_an_unknown_amount(monkeypatch):
    monkeypatch.setattr(memory, "_of_container", lambda: None)
    monkeypatch.setattr(memory, "_of_machine", lambda: None)
    assert memory.available_bytes() is None


def test_on_a_gpu_its_own_memory_counts(monkeypatch):
    class Device:
        name = "/device:GPU:0"
        memory_limit = 1000

    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [Device()])
    monkeypatch.setattr(device_lib, "list_local_devices", lambda: [Device()])
    monkeypatch.setattr(
        tf.config.experimental, "get_memory_info", lambda name: {"current": 300}
    )
    assert memory.available_bytes() == 700
