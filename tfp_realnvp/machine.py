"""The machine's memory, and what does not fit in it."""

from __future__ import annotations

import pathlib

import tensorflow as tf

from tfp_realnvp.arguments import shortened

_CONTROL_GROUP = pathlib.Path("/sys/fs/cgroup")
# Asking the machine takes time, and less than this it has.
_NOT_ASKED = 2**28


def check_fits(name: str, value: object, needed: float, what: str) -> None:
    """Checks that something fits in memory, before it is made.

    Where the machine does not tell how much there is, all does.

    Args:
      name: Python `str`, of the argument that makes it large.
      value: The argument.
      needed: Bytes that it takes, about.
      what: Python `str`, what takes them.

    Raises:
      ValueError: If it takes more than is available.
    """
    if needed < _NOT_ASKED:
        return
    available = available_bytes()
    if available is not None and needed > available:
        raise ValueError(
            f"{name}: expected {what} that fit in memory, got {shortened(value)}, for "
            f"which they take about {needed / 2**30:.3g} GiB; "
            f"{available / 2**30:.3g} GiB are available."
        )


def available_bytes() -> int | None:
    """Returns how much memory is free, on a GPU if there is one.

    Returns:
      Python `int`, or `None` if the machine does not tell.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if gpus:
        return _of_gpu(gpus[0].name)
    found = [value for value in (_of_machine(), _of_container()) if value is not None]
    return min(found, default=None)


def _of_gpu(name: str) -> int | None:
    # Nothing public tells how much TensorFlow may take.
    from tensorflow.python.client import device_lib

    limits = {d.name: d.memory_limit for d in device_lib.list_local_devices()}
    used = tf.config.experimental.get_memory_info(name)["current"]
    return limits[name] - used if name in limits else None


def _of_machine() -> int | None:
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _of_container() -> int | None:
    """Returns what a container may still take, where it is limited."""
    try:
        limit = (_CONTROL_GROUP / "memory.max").read_text().strip()
        used = int((_CONTROL_GROUP / "memory.current").read_text())
        lines = (_CONTROL_GROUP / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    # Cached files count as used, and are given up when memory is asked for.
    parts = {name: int(value) for name, value in (line.split() for line in lines)}
    used -= parts.get("inactive_file", 0) + parts.get("active_file", 0)
    return max(0, int(limit) - max(0, used))
