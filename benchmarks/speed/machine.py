"""What the figures were measured on."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys
from typing import Any

PACKAGES = (
    "tfp-realnvp",
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-probability",
    "keras",
    "tf-keras",
    "numpy",
    "torch",
    "normflows",
    "nflows",
    "zuko",
)
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")


def describe_run(image_peer: str | None) -> dict[str, Any]:
    """Returns machine, versions, commits, command line and date."""
    info = _read("/proc/cpuinfo").splitlines()
    fields = {
        key.strip(): value.strip()
        for key, _, value in (line.partition(":") for line in info)
    }
    flags = fields.get("flags", "").split()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds"),
        "command": " ".join([pathlib.Path(sys.executable).name, *sys.argv]),
        "cpu": fields.get("model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "flags": {flag: flag in flags for flag in FLAGS},
        "memory_bytes": meminfo_bytes("MemTotal"),
        "load_average_at_start": list(os.getloadavg()),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": commit_of(pathlib.Path(__file__).parent),
        "image_peer": image_peer
        and {
            "path": str(image_peer),
            "commit": commit_of(pathlib.Path(image_peer)),
        },
    }


def commit_of(folder: pathlib.Path) -> str | None:
    """Returns the folder's git commit, and whether its files differ from it."""

    def git(*arguments):
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout

    try:
        changed = git("status", "--porcelain", "--untracked-files=no").strip()
        return git("rev-parse", "HEAD").strip() + (", changed" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def status_bytes(pid: int, field: str) -> int | None:
    """Returns a field of /proc/PID/status, `None` where there is none."""
    return _kilobytes(f"/proc/{pid}/status", field)


def meminfo_bytes(field: str) -> int | None:
    """Returns a field of /proc/meminfo, `None` where there is none."""
    return _kilobytes("/proc/meminfo", field)


def _kilobytes(path: str, field: str) -> int | None:
    for line in _read(path).splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return 1024 * int(value.split()[0])
    return None


def _read(path: str) -> str:
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
