"""What this package is to reach, and whether it did."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterator
from typing import Any

from speed.spread import Spread, exponent, ratio_of, seconds_of, spread_of

PEER = "image peer"
VECTOR_OURS = ("vector ours", "vector ours XLA")
VECTOR_PEERS = ("normflows", "nflows", "zuko")
# A fitted exponent up to this counts as linear growth.
LINEAR = 1.1


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A target and what was measured.

    Attributes:
      target: In words.
      sign: `">="` or `"<="`, how what was measured must compare with the bound.
      bound: The target's number.
      measured: `None` if it was not measured, `note` then says why.
      note: What else a reader should know.
    """

    target: str
    sign: str
    bound: float
    measured: Spread | None
    note: str = ""

    @property
    def text(self) -> str:
        if self.measured is None:
            return "not measured"
        compare = operator.ge if self.sign == ">=" else operator.le
        return "met" if compare(self.measured.median, self.bound) else "MISSED"


def verdicts(cells: dict[str, dict[str, Any]]) -> list[Verdict]:
    """Returns the verdict on every target, from the results of one run."""
    return [
        *_shipped(cells.get("shipped")),
        *_network_runs(cells.get("shipped")),
        *_vectors(cells),
        *_recompute(cells),
        _first_step(cells.get("first step")),
        *_growth(cells),
    ]


def _shipped(cell: dict[str, Any] | None) -> Iterator[Verdict]:
    ours, half = "ours", "ours bfloat16"
    wanted = [
        ("train step, times as fast as the peer", PEER, ours, "train", ">=", 1.8),
        (
            "bfloat16 train step, times as fast as the peer",
            PEER,
            half,
            "train",
            ">=",
            3.5,
        ),
        ("log_prob, times as fast as the peer", PEER, ours, "log_prob", ">=", 2.0),
        ("sample, times as fast as the peer", PEER, ours, "sample", ">=", 2.0),
        (
            "log_prob, times as fast as TFP's route",
            "TFP route",
            ours,
            "log_prob",
            ">=",
            2.0,
        ),
        ("train step, times the floor", ours, "floor", "train", "<=", 1.15),
        ("log_prob, times the floor", ours, "floor", "log_prob", "<=", 1.10),
    ]
    for target, above, below, operation, sign, bound in wanted:
        measured = cell and ratio_of(cell, (above, operation), (below, operation))
        note = _why_not(cell, above, below) if measured is None else ""
        if PEER in (above, below) and measured is not None:
            note = _parameters(cell, PEER, below)
        yield Verdict(f"shipped: {target}", sign, bound, measured, note)
    measured = cell and ratio_of(cell, (ours, "sample"), (ours, "log_prob"))
    note = "" if measured else _why_not(cell, ours)
    yield Verdict("shipped: sample, times log_prob", "<=", 1.1, measured, note)


def _entry(cell: dict[str, Any], contender: str) -> dict[str, Any]:
    entries = [g[contender] for g in cell["groups"] if contender in g]
    return entries[0] if entries else {}


def _why_not(cell: dict[str, Any] | None, *contenders: str) -> str:
    if cell is None:
        return "its cell was not run"
    errors = [f"{c}: {_entry(cell, c).get('error')}" for c in contenders]
    errors = [error for error in errors if not error.endswith(": None")]
    return "; ".join(errors) or "the two did not fit into memory beside each other"


def _parameters(cell: dict[str, Any], peer: str, ours: str) -> str:
    counts = [_entry(cell, name).get("parameters") for name in (peer, ours)]
    return (
        f"peer has {counts[0] / counts[1]:.3f} of our parameters" if all(counts) else ""
    )


def _network_runs(cell: dict[str, Any] | None) -> Iterator[Verdict]:
    for operation in ("log_prob", "sample"):
        runs = cell and _entry(cell, "ours").get("network_runs", {}).get(operation)
        measured = Spread(runs, runs, runs) if runs else None
        target = f"network runs per coupling in {operation}"
        yield Verdict(target, "<=", 1.0, measured, "counted as the graph was made")


def _vectors(cells: dict[str, dict[str, Any]]) -> Iterator[Verdict]:
    names = [name for name in cells if name.startswith("vectors of ")]
    for name in names or ["vectors"]:
        for operation in ("train", "log_prob", "sample"):
            target = f"{name}: {operation}, times as fast as the fastest peer"
            cell = cells.get(name)
            if cell is None:
                yield Verdict(target, ">=", 1.0, None, "its cell was not run")
                continue
            ours = _fastest(cell, VECTOR_OURS, operation)
            peer = _fastest(cell, VECTOR_PEERS, operation)
            measured = None
            if ours and peer:
                measured = ratio_of(cell, (peer, operation), (ours, operation))
            failed = [p for p in VECTOR_PEERS if _entry(cell, p).get("error")]
            note = f"{ours} against {peer}"
            if failed:
                note += f"; failed: {', '.join(failed)}"
            yield Verdict(target, ">=", 1.0, measured, note)


def _fastest(
    cell: dict[str, Any], names: tuple[str, ...], operation: str
) -> str | None:
    times = {name: seconds_of(cell, name, operation) for name in names}
    medians = {n: spread_of(seconds).median for n, seconds in times.items() if seconds}
    return min(medians, key=medians.get) if medians else None


def _recompute(cells: dict[str, dict[str, Any]]) -> Iterator[Verdict]:
    stored, recompute = "chain stored", "chain recompute"
    peaks, note = {}, "needs the cells of 10 and of 40 couplings"
    for count in (10, 40):
        entry = cells.get(f"{count} couplings", {}).get("memory", {}).get(recompute, {})
        peaks[count] = entry.get("peak_bytes")
        note = entry.get("error") or note
    measured = None
    if all(peaks.values()):
        growth = 100 * (peaks[40] / peaks[10] - 1)
        measured, note = Spread(growth, growth, growth), "one measurement of each"
    target = "recompute: growth of peak memory from 10 to 40 couplings, in %"
    yield Verdict(target, "<=", 20.0, measured, note)
    for name, cell in cells.items():
        if name.endswith(" couplings"):
            measured = ratio_of(cell, (recompute, "train"), (stored, "train"))
            note = "" if measured else _why_not(cell, recompute)
            target = f"recompute: {name}, train step, times stored"
            yield Verdict(target, "<=", 1.4, measured, note)


def _first_step(cell: dict[str, Any] | None) -> Verdict:
    target = "first step of the cifar10 preset, building included, in s"
    if cell is None:
        return Verdict(target, "<=", 40.0, None, "its cell was not run")
    entry = _entry(cell, "ours")
    first = entry["first_seconds"].get("train")
    if first is None:
        return Verdict(target, "<=", 40.0, None, str(entry["error"]))
    total = entry["build_seconds"] + first
    note = f"one measurement; {first:.1f} s of it the step"
    return Verdict(target, "<=", 40.0, Spread(total, total, total), note)


def _growth(cells: dict[str, dict[str, Any]]) -> Iterator[Verdict]:
    for series in ("pixels", "blocks"):
        for batch in sorted(
            {c["batch"] for c in cells.values() if series in c["series"]}
        ):
            for operation in ("train", "log_prob", "sample"):
                points = growth_points(cells, series, batch, "ours", operation)
                measured, note = None, "fewer than two sizes"
                if len(points) > 1:
                    sizes = [size for size, _ in points]
                    repetitions = zip(*(s for _, s in points), strict=False)
                    fits = [exponent(sizes, seconds) for seconds in repetitions]
                    measured = spread_of(fits)
                    note = f"{series} {', '.join(map(str, sizes))}"
                target = f"growth: {operation}, batch {batch}, exponent of {series}"
                yield Verdict(target, "<=", LINEAR, measured, note)


def growth_points(
    cells: dict[str, dict[str, Any]],
    series: str,
    batch: int,
    contender: str,
    operation: str,
) -> list[tuple[int, list[float]]]:
    """Returns the sizes of a series, in order, with the seconds at each."""
    points = []
    for cell in cells.values():
        if series in cell["series"] and cell["batch"] == batch:
            seconds = seconds_of(cell, contender, operation)
            if seconds:
                points.append((size_in(cell, series), seconds))
    return sorted(points)


def size_in(cell: dict[str, Any], series: str) -> int:
    """Returns a cell's place in a series: pixels, blocks or couplings."""
    if series == "pixels":
        height, width, _ = cell["sizes"]["event_shape"]
        return height * width
    return cell["sizes"][{"blocks": "num_blocks", "couplings": "num_couplings"}[series]]
