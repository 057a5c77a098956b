"""How much memory a training step takes, and how large a batch fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from speed.cells import Cell
from speed.machine import meminfo_bytes
from speed.process import ContenderError, Process, TooMuchMemory

if TYPE_CHECKING:
    from speed.drive import Run

# The second step has what the first leaves behind: moments of Adam, buffers to reuse.
STEPS = 2
# Batches this close to each other need not be told apart.
RESOLUTION = 1.07


def training_peak(cell: Cell, contenders: Iterable[str], run: Run) -> dict[str, Any]:
    """Returns the memory of each contender's first steps, in processes of their own."""
    peaks, wanted = {}, None
    for name in contenders:
        left_out = run.left_out(name)
        if left_out:
            peaks[name] = {"error": left_out}
            continue
        try:
            with run.process(cell, name, "memory") as process:
                answer = process.ask(
                    "prepare", contender=name, cell=run.specification(cell, wanted)
                )
                wanted = wanted or answer["parameters"]
                peak = process.ask(
                    "peak", operation="train", calls=STEPS, may_take=_within_machine
                )
            peaks[name] = {"error": None, "parameters": answer["parameters"], **peak}
            run.say(f"  {name}: peak {peak['peak_bytes'] / 2**30:.2f} GB")
        except ContenderError as error:
            peaks[name] = {"error": str(error)}
            run.say(f"  {name}: FAILED, {error}")
    return peaks


def _within_machine(process: Process) -> bool:
    available = meminfo_bytes("MemAvailable")
    return available is None or available > 2**30


def largest_batch(cell: Cell, run: Run) -> dict[str, Any]:
    """Returns the largest batch of each contender that trains within the limit."""
    limit = cell.options["limit_bytes"]
    found = {}
    for name in cell.contenders:
        tried: list[dict[str, Any]] = []
        found[name] = entry = {"error": None, "limit_bytes": limit, "tried": tried}
        try:
            entry["batch"] = search(
                lambda batch, name=name, tried=tried: _fits(
                    cell, run, name, batch, limit, tried
                ),
                cell.options["start"],
                cell.options["most"],
            )
        except ContenderError as error:
            entry["error"] = str(error)
            run.say(f"  {name}: FAILED, {error}")
    return found


def search(fits, start: int, most: int) -> int | None:
    """Returns the largest number that fits, to within 7 %.

    Args:
      fits: Says of a number whether it fits; if one does, so do all that are smaller.
      start: Where doubling, or halving if that does not fit, starts.
      most: Where doubling ends.

    Returns:
      The number, or `None` if not even 1 fits.
    """
    low, high = start, None
    while not fits(low):
        high, low = low, low // 2
        if low == 0:
            return None
    while high is None and low < most:
        if fits(2 * low):
            low *= 2
        else:
            high = 2 * low
    while high is not None and high > max(low + 1, RESOLUTION * low):
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


def _fits(
    cell: Cell, run: Run, name: str, batch: int, limit: int, tried: list[dict[str, Any]]
) -> bool:
    def within(process: Process) -> bool:
        return process.peak_bytes() <= limit and _within_machine(process)

    at_batch = dataclasses.replace(cell, batch=batch)
    with run.process(at_batch, name, f"batch {batch}") as process:
        try:
            process.ask("prepare", contender=name, cell=run.specification(at_batch))
            peak = process.ask("peak", operation="train", calls=STEPS, may_take=within)
            peak_bytes = peak["peak_bytes"]
        except TooMuchMemory:
            peak_bytes = process.peak_bytes()
    fits = peak_bytes <= limit
    tried.append({"batch": batch, "peak_bytes": peak_bytes, "fits": fits})
    verdict = "fits" if fits else "does not fit"
    run.say(f"  {name}: batch {batch} {verdict}, {peak_bytes / 2**30:.2f} GB")
    return fits
