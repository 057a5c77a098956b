"""Runs a cell: its contenders beside each other, in turns."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import Any

from speed.cells import Cell
from speed.contenders import IMAGE_PEERS
from speed.machine import meminfo_bytes
from speed.memory import largest_batch, training_peak
from speed.process import ContenderError, Process, TooMuchMemory

# PyTorch's threads spin for a moment after a call, waiting for more to do, and would
# take time from whoever comes next.
PAUSE = 0.3
# What must stay free for the system and the parent, as a part of all there is.
SPARE = 0.1


@dataclasses.dataclass
class Run:
    """What a cell is run with.

    Attributes:
      output: Folder of the results.
      image_peer: The user's checkout, or `None`.
      repetitions: Number of timings of each operation.
      say: Takes what to show of the progress.
    """

    output: pathlib.Path
    image_peer: str | None
    repetitions: int
    say: Callable[[str], None]

    def process(self, cell: Cell, contender: str, purpose: str = "times") -> Process:
        name = f"{cell.name}, {contender}, {purpose}".replace(" ", "_")
        return Process(contender, self.output / "logs" / f"{name}.log")

    def specification(self, cell: Cell, wanted: int | None = None) -> dict[str, Any]:
        """Returns what a contender is told of the cell."""
        return {
            "sizes": cell.sizes,
            "batch": cell.batch,
            "image_peer": self.image_peer,
            "wanted_parameters": wanted,
            **cell.options,
        }

    def left_out(self, contender: str) -> str | None:
        """Returns why a contender cannot take part, if so."""
        if contender in IMAGE_PEERS and self.image_peer is None:
            return "not run: no --image-peer given"
        return None


def run_cell(cell: Cell, run: Run) -> dict[str, Any]:
    """Returns all that was measured in a cell."""
    begin = time.monotonic()
    result = {**dataclasses.asdict(cell), "groups": [], "memory": {}}
    if cell.kind == "largest batch":
        result["largest_batch"] = largest_batch(cell, run)
    elif cell.kind == "memory":
        result["memory"] = training_peak(cell, cell.contenders, run)
    else:
        result["memory"] = training_peak(cell, cell.memory, run)
        result["groups"] = _run_groups(cell, run)
    result["seconds"] = time.monotonic() - begin
    return result


def _run_groups(cell: Cell, run: Run) -> list[dict[str, Any]]:
    """Runs as many contenders at a time as fit into memory, the first among each."""
    reference, *waiting = cell.contenders
    groups = []
    while True:
        group, waiting = _run_group(cell, run, reference, waiting)
        groups.append(group)
        if not waiting:
            return groups


def _run_group(
    cell: Cell, run: Run, reference: str, waiting: list[str]
) -> tuple[dict[str, Any], list[str]]:
    group: dict[str, Any] = {}
    alive: dict[str, Process] = {}
    available = meminfo_bytes("MemAvailable")

    def fits(process: Process) -> bool:
        if available is None:
            return True
        taken = sum(p.peak_bytes() for p in (*alive.values(), process))
        return taken < (1 - SPARE) * available

    with contextlib.ExitStack() as stack:
        queue = [reference, *waiting]
        while queue:
            name = queue.pop(0)
            group[name] = entry = _empty_entry(run.left_out(name))
            if entry["error"]:
                continue
            wanted = group[reference].get("parameters")
            process = stack.enter_context(run.process(cell, name))
            try:
                _start(cell, run, process, entry, fits, wanted)
                alive[name] = process
            except TooMuchMemory as error:
                process.close()
                if set(alive) - {reference}:
                    # It comes again, in a group with fewer others.
                    del group[name]
                    queue = [name, *queue]
                    run.say(f"  {name}: memory is full, it waits for the next group")
                    break
                entry["error"] = f"does not fit beside {reference}: {error}"
            except ContenderError as error:
                process.close()
                entry["error"] = str(error)
            if entry["error"]:
                run.say(f"  {name}: FAILED, {entry['error']}")
        _take_turns(cell, run, group, alive)
    return group, queue


def _empty_entry(error: str | None) -> dict[str, Any]:
    return {"error": error, "first_seconds": {}, "network_runs": {}, "seconds": {}}


def _start(
    cell: Cell,
    run: Run,
    process: Process,
    entry: dict[str, Any],
    fits: Callable[[Process], bool],
    wanted: int | None,
) -> None:
    begin = time.monotonic()
    specification = run.specification(cell, wanted)
    answer = process.ask(
        "prepare", contender=process.contender, cell=specification, may_take=fits
    )
    entry.update(answer)
    for operation in cell.operations:
        if operation in answer["operations"]:
            answer_to_first = process.ask("first", operation=operation, may_take=fits)
            entry["first_seconds"][operation] = answer_to_first["first_seconds"]
            entry["network_runs"][operation] = answer_to_first["network_runs"]
    # Looked at in passing only while it works: short peaks show here.
    if not fits(process):
        raise TooMuchMemory(f"took {process.peak_bytes() / 2**30:.1f} GB")
    entry["resident_peak_bytes"] = process.peak_bytes()
    seconds = time.monotonic() - begin
    run.say(f"  {process.contender}: ready after {seconds:.0f} s")


def _take_turns(
    cell: Cell, run: Run, group: dict[str, Any], alive: dict[str, Process]
) -> None:
    repetitions = cell.repetitions or run.repetitions
    for repetition in range(repetitions):
        begin = time.monotonic()
        for operation in cell.operations:
            names = list(alive)
            # Nobody always comes after the same one.
            shift = repetition % max(1, len(names))
            for name in names[shift:] + names[:shift]:
                if operation not in group[name]["first_seconds"]:
                    continue
                time.sleep(PAUSE)
                seconds = group[name]["seconds"].setdefault(operation, [])
                try:
                    seconds.append(
                        alive[name].ask("time", operation=operation)["seconds"]
                    )
                except ContenderError as error:
                    group[name]["error"] = str(error)
                    run.say(f"  {name}: FAILED, {error}")
                    alive.pop(name).close()
        run.say(
            f"  repetition {repetition + 1} of {repetitions}, "
            f"{time.monotonic() - begin:.0f} s"
        )
