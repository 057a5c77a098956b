"""Runs the contenders of a cell in turns."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import sys
import time
from collections.abc import Callable

from harness.process import ChildError, Process

from speed.contenders import CONTENDERS

# After a call PyTorch's threads spin for a moment, waiting for more work, which would
# slow the next contender.
PAUSE = 0.3
# Seconds after which a contender is stopped.
TIME_LIMIT = 1800.0


@dataclasses.dataclass
class Run:
    """The settings of a cell's run."""

    output: pathlib.Path
    # The user's checkout.
    image_peer: str | None
    torch_python: str
    repetitions: int
    # Called with lines of progress.
    say: Callable[[str], None]

    def process(self, cell, contender, purpose="times"):
        name = f"{cell.name}, {contender}, {purpose}".replace(" ", "_")
        log = self.output / "logs" / f"{name}.log"
        is_torch = CONTENDERS[contender].is_torch
        return Process(log, self.torch_python if is_torch else sys.executable)

    def prepare(self, process, cell, contender, wanted):
        """Returns the report of a contender after it was built in the process."""
        if CONTENDERS[contender].module == "image_peer" and self.image_peer is None:
            raise ChildError("not run: no --image-peer given")
        told = {
            "sizes": cell.sizes,
            "batch": cell.batch,
            "operations": cell.operations,
            "image_peer": self.image_peer,
            "wanted_parameters": wanted,
        }
        return _ask(process, "prepare", contender=contender, cell=told)


def _ask(process, function, **arguments):
    function = f"speed.contender:{function}"
    return process.ask(function, time_limit=TIME_LIMIT, **arguments)


def run_cell(cell, run):
    """Returns all measurements of a cell."""
    begin = time.monotonic()
    memory = _training_peaks(cell, run)
    first, *others = cell.contenders
    starts = range(0, max(1, len(others)), cell.beside)
    groups = [
        _run_group(cell, run, [first, *others[i:][: cell.beside]]) for i in starts
    ]
    return {
        **dataclasses.asdict(cell),
        "groups": groups,
        "memory": memory,
        "seconds": time.monotonic() - begin,
    }


def _training_peaks(cell, run):
    """Returns the memory of contenders' first steps, each in a new process."""
    peaks, wanted = {}, None
    for name in cell.memory:
        try:
            with run.process(cell, name, "memory") as process:
                parameters = run.prepare(process, cell, name, wanted)["parameters"]
                wanted = wanted or parameters
                peaks[name] = {"error": None, **_ask(process, "peak")}
            run.say(f"  {name}: peak {peaks[name]['peak_bytes'] / 2**30:.2f} GB")
        except ChildError as error:
            peaks[name] = {"error": str(error)}
            run.say(f"  {name}: FAILED, {error}")
    return peaks


def _run_group(cell, run, names):
    group, alive = {}, {}
    with contextlib.ExitStack() as stack:
        for name in names:
            empty = {"first_seconds": {}, "network_runs": {}, "seconds": {}}
            group[name] = entry = {"error": None, **empty}
            process = stack.enter_context(run.process(cell, name))
            begin, wanted = time.monotonic(), group[names[0]].get("parameters")
            try:
                entry.update(run.prepare(process, cell, name, wanted))
                for operation in entry["operations"]:
                    for key, value in _ask(process, "first", name=operation).items():
                        entry[key][operation] = value
                entry["resident_peak_bytes"] = _ask(process, "peak_so_far")
            except ChildError as error:
                entry["error"] = str(error)
                process.close()
                run.say(f"  {name}: FAILED, {error}")
            else:
                alive[name] = process
                run.say(f"  {name}: ready after {time.monotonic() - begin:.0f} s")
        _take_turns(cell, run, group, alive)
    return group


def _take_turns(cell, run, group, alive):
    repetitions = cell.repetitions or run.repetitions
    for repetition in range(repetitions):
        begin = time.monotonic()
        for operation in cell.operations:
            names = list(alive)
            # The order changes, so that no contender always follows the same one.
            shift = repetition % max(1, len(names))
            for name in names[shift:] + names[:shift]:
                if operation not in group[name]["first_seconds"]:
                    continue
                time.sleep(PAUSE)
                seconds = group[name]["seconds"].setdefault(operation, [])
                try:
                    seconds.append(_ask(alive[name], "seconds", name=operation))
                except ChildError as error:
                    group[name]["error"] = str(error)
                    run.say(f"  {name}: FAILED, {error}")
                    alive.pop(name).close()
        seconds = time.monotonic() - begin
        run.say(f"  repetition {repetition + 1} of {repetitions}, {seconds:.0f} s")
