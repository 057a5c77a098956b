"""The functions that a contender's process is asked to call: build and run."""

import importlib
import os
import pathlib
import sys
import time

from speed.contenders import CONTENDERS, Prepared

# Calls of a few milliseconds are timed in groups.
SHORTEST_TURN = 0.3
MOST_CALLS = 1000
# The second step has what the first leaves behind: Adam's moments, buffers to reuse.
STEPS = 2

_contender: Prepared
_calls = {}


def prepare(contender, cell):
    global _contender
    known = CONTENDERS[contender]
    module = importlib.import_module(f"speed.contenders.{known.module}")
    begin = time.perf_counter()
    _contender = getattr(module, known.function)(cell, **known.options)
    names = [n for n in cell["operations"] if n in _contender.operations]
    return {
        "parameters": _contender.parameters,
        "threads": _threads(),
        "notes": [note for note in _contender.notes if note],
        "operations": names,
        "build_seconds": time.perf_counter() - begin,
    }


def first(name):
    """Makes the first call, which traces and compiles, and times a later one."""
    runs = _contender.network_runs
    before = runs() if runs else 0
    begin = _seconds(name, 1)
    found = (runs() - before) / _contender.networks if runs else None
    # Frameworks choose algorithms and allocate memory in the second call too.
    again = _seconds(name, 1) if begin < 60 else begin
    _calls[name] = int(min(MOST_CALLS, max(1, SHORTEST_TURN / again)))
    return {"first_seconds": begin, "network_runs": found}


def seconds(name):
    return _seconds(name, _calls[name]) / _calls[name]


def peak():
    """Returns the memory that the first training steps take, tracing included."""
    before, how = _resident("VmRSS"), "VmHWM"
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        how = "VmHWM, of the building too"
    _seconds("train", STEPS)
    most = peak_so_far()
    return {"peak_bytes": most, "step_bytes": most - before, "peak_from": how}


def peak_so_far():
    return _resident("VmHWM")


def _seconds(name, calls):
    call = _contender.operations[name]
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    return time.perf_counter() - begin


def _resident(field):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(field + ":"))
    return 1024 * int(line.split()[1])


def _threads():
    if "tensorflow" in sys.modules:
        threading = sys.modules["tensorflow"].config.threading
        intra = threading.get_intra_op_parallelism_threads()
        inter = threading.get_inter_op_parallelism_threads()
    else:
        torch = sys.modules["torch"]
        intra, inter = torch.get_num_threads(), torch.get_num_interop_threads()
    cores = len(os.sched_getaffinity(0))
    return {"intra_op": intra, "inter_op": inter, "cores": cores}
