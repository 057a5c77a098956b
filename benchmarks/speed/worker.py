"""The process of one contender: builds it and runs it when asked, by lines of JSON."""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
import traceback
from typing import Any

from speed.contenders import CONTENDERS, Prepared

# Calls of a few milliseconds are timed many at a time.
SHORTEST_TURN = 0.3
MOST_CALLS = 1000


def main() -> None:
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:
            traceback.print_exc()
            text = f"{type(error).__name__}: {error}"
            answer = {"error": " ".join(text.split())[:500]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


class Worker:
    """Answers requests; each public method is one."""

    def __init__(self):
        self._contender: Prepared | None = None
        self._calls: dict[str, int] = {}

    def prepare(self, contender: str, cell: dict[str, Any]) -> dict[str, Any]:
        module, options = CONTENDERS[contender]
        begin = time.perf_counter()
        module = importlib.import_module(f"speed.contenders.{module}")
        imported = time.perf_counter()
        self._contender = module.prepare(cell, **options)
        return {
            "parameters": self._contender.parameters,
            "threads": self._contender.threads,
            "notes": self._contender.notes,
            "operations": list(self._contender.operations),
            "import_seconds": imported - begin,
            "build_seconds": time.perf_counter() - imported,
        }

    def first(self, operation: str) -> dict[str, Any]:
        """Makes the first call, which traces and compiles, and sees how long one is."""
        contender = self._contender
        counts = contender.network_runs is not None and contender.networks
        before = contender.network_runs() if counts else 0
        first = self._seconds(operation, 1)
        runs = contender.network_runs() - before if counts else None
        # Frameworks choose algorithms and take memory in the second call as well.
        again = self._seconds(operation, 1) if first < 60 else first
        self._calls[operation] = int(min(MOST_CALLS, max(1, SHORTEST_TURN / again)))
        return {
            "first_seconds": first,
            "network_runs": runs / contender.networks if counts else None,
        }

    def time(self, operation: str) -> dict[str, Any]:
        calls = self._calls[operation]
        return {"seconds": self._seconds(operation, calls) / calls, "calls": calls}

    def peak(self, operation: str, calls: int) -> dict[str, Any]:
        """Says how much memory the first calls take, tracing included."""
        before = _resident("VmRSS")
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
            how = "VmHWM"
        except OSError:
            how = "ru_maxrss, of the building too"
        seconds = [self._seconds(operation, 1) for _ in range(calls)]
        peak = _resident("VmHWM")
        if how != "VmHWM" or peak is None:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        step = None if before is None else peak - before
        return {
            "peak_bytes": peak,
            "step_bytes": step,
            "peak_from": how,
            "seconds": seconds,
        }

    def _seconds(self, operation: str, calls: int) -> float:
        call = self._contender.operations[operation]
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        return time.perf_counter() - begin


def _resident(field: str) -> int | None:
    from speed.machine import status_bytes

    return status_bytes(os.getpid(), field)


if __name__ == "__main__":
    main()
