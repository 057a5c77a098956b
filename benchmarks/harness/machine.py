"""A record of the machine and the software behind the figures."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")
PACKAGES = (
    *("tfp-realnvp", "tensorflow", "tensorflow-cpu", "tensorflow-probability"),
    *("keras", "tf-keras", "numpy", "torch", "normflows", "nflows", "zuko"),
)


def describe_run(image_peer=None):
    """Returns machine, versions, commits, command line and date."""
    info = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    pairs = (line.partition(":") for line in info.splitlines())
    fields = {key.strip(): value.strip() for key, _, value in pairs}
    flags = fields.get("flags", "").split()
    peer = None
    if image_peer is not None:
        peer = {"path": str(image_peer), "commit": commit_of(image_peer)}
    return {
        "date": now(),
        "command": " ".join([pathlib.Path(sys.executable).name, *sys.argv]),
        "cpu": fields.get("model name", platform.machine()),
        "cores": len(os.sched_getaffinity(0)),
        "flags": {flag: flag in flags for flag in FLAGS},
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average_at_start": list(os.getloadavg()),
        "python": platform.python_version(),
        "packages": packages(),
        "commit": commit_of(pathlib.Path(__file__).parent),
        "image_peer": peer,
    }


def packages():
    return {name: version_of(name) for name in PACKAGES}


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds")


def commit_of(folder):
    """Returns the folder's git commit, and whether its files differ from it."""

    def git(*arguments):
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + (", changed" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def version_of(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
