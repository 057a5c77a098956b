"""The results as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from speed.spread import Spread, ratios, spread_of
from speed.targets import Verdict, verdicts

NO_RESULTS = (
    "**These figures are no results**: `--quick` tries the command out on tiny sizes, "
    "where what is timed is mostly overhead."
)


def report(results: dict[str, Any]) -> str:
    """Returns the whole report of a run."""
    parts = ["# Speed"]
    if results["quick"]:
        parts.append(NO_RESULTS)
    parts += [_machine(results["run"]), _explanation()]
    parts += [_targets(verdicts(results["cells"]), results["quick"])]
    parts += [_cell(cell) for cell in results["cells"].values()]
    return "\n\n".join(parts) + "\n"


def _machine(run: dict[str, Any]) -> str:
    flags = [name for name, there in run["flags"].items() if there]
    without = [name for name, there in run["flags"].items() if not there]
    memory = run["memory_bytes"]
    lines = [
        f"- command: `{run['command']}`, {run['date']}",
        f"- machine: {run['cpu']}, {run['cores']} cores, "
        + (f"{memory / 2**30:.0f} GB, " if memory else "")
        + f"with {', '.join(flags) or 'none'}, "
        + f"without {', '.join(without) or 'none'}",
        "- load average at the start: "
        + ", ".join(f"{load:.2f}" for load in run["load_average_at_start"]),
        "- versions: "
        + ", ".join(f"{n} {v}" for n, v in run["packages"].items() if v)
        + f", Python {run['python']}",
        f"- commit: {run['commit'] or 'not known'}",
    ]
    if run["image_peer"]:
        peer = run["image_peer"]
        lines.append(f"- image peer: {peer['path']}, commit {peer['commit']}")
    return "\n".join(lines)


def _explanation() -> str:
    return (
        "Times are medians over repetitions in which all contenders of a group ran in "
        "turns. A ratio is the contender's time by that of the group's first contender "
        "in the same repetition: median [quartiles], above 1 where the contender is "
        "slower. First calls include tracing and compiling. In the row of a failed "
        "contender stands what it said. Memory is resident, in GB of 2^30 bytes."
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_escaped, line)) + " |" for line in lines)


def _escaped(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _targets(found: Sequence[Verdict], quick: bool) -> str:
    rows = [
        [
            verdict.target,
            f"{verdict.sign} {verdict.bound:g}",
            show_spread(verdict.measured) if verdict.measured else "",
            "no result" if quick else verdict.text,
            verdict.note,
        ]
        for verdict in found
    ]
    header = ["target", "bound", "measured", "verdict", "note"]
    return "## Targets\n\n" + table(header, rows)


def show_spread(spread: Spread) -> str:
    """Returns a median with its quartiles, as text."""
    if spread.lower == spread.upper:
        return f"{spread.median:.3g}"
    return f"{spread.median:.3g} [{spread.lower:.3g}, {spread.upper:.3g}]"


def _cell(cell: dict[str, Any]) -> str:
    sizes = ", ".join(f"{name} {value}" for name, value in cell["sizes"].items())
    minutes = cell["seconds"] / 60
    parts = [
        f"## {cell['name']}",
        f"{sizes}, batch {cell['batch']}; {cell['date']}, {minutes:.1f} minutes.",
    ]
    for group in cell["groups"]:
        rows = list(_times(cell, group))
        header = [
            "contender",
            "operation",
            "ms",
            "ms per event",
            "ratio",
            "first call, s",
        ]
        parts += [table([*header, "network runs"], rows), _contenders(group)]
    if cell["memory"]:
        parts.append(_memory(cell["memory"]))
    if "largest_batch" in cell:
        parts.append(_largest(cell["largest_batch"]))
    return "\n\n".join(parts)


def events_in(cell: dict[str, Any], operation: str) -> int:
    """Returns the batch of an operation, which can have one of its own in its name."""
    last = operation.split(" ")[-1]
    return int(last) if last.isdigit() else cell["batch"]


def _times(cell: dict[str, Any], group: dict[str, Any]) -> Iterator[list[str]]:
    first = next(iter(group.values()))
    for operation in cell["operations"]:
        for name, entry in group.items():
            seconds = entry["seconds"].get(operation)
            if not seconds:
                continue
            median = spread_of(seconds).median
            reference, ratio = first["seconds"].get(operation), ""
            if reference:
                ratio = show_spread(spread_of(ratios(seconds, reference)))
            runs = entry["network_runs"].get(operation)
            yield [
                name,
                operation,
                f"{1e3 * median:.4g}",
                f"{1e3 * median / events_in(cell, operation):.4g}",
                ratio,
                f"{entry['first_seconds'][operation]:.2f}",
                "" if runs is None else f"{runs:g}",
            ]


def _contenders(group: dict[str, Any]) -> str:
    rows = []
    for name, entry in group.items():
        threads = entry.get("threads", {})
        if entry["error"]:
            notes = [f"FAILED: {entry['error']}", *entry.get("notes", [])]
        else:
            notes = entry["notes"]
        peak = entry.get("resident_peak_bytes")
        rows.append(
            [
                name,
                f"{entry['parameters']:,}" if "parameters" in entry else "",
                ", ".join(f"{kind} {count}" for kind, count in threads.items()),
                f"{entry['build_seconds']:.1f}" if "build_seconds" in entry else "",
                _gigabytes(peak) if peak else "",
                "; ".join(notes),
            ]
        )
    header = ["contender", "parameters", "threads (0: all cores)", "building, s"]
    return table([*header, "peak of the process, GB", "note"], rows)


def _memory(memory: dict[str, Any]) -> str:
    rows = []
    for name, entry in memory.items():
        if entry["error"]:
            rows.append([name, "", "", f"FAILED: {entry['error']}"])
        else:
            step = entry["step_bytes"]
            rows.append(
                [
                    name,
                    _gigabytes(entry["peak_bytes"]),
                    "" if step is None else _gigabytes(step),
                    f"from {entry['peak_from']}",
                ]
            )
    header = ["contender", "peak of training, GB", "less what was there before, GB", ""]
    return table(header, rows)


def _largest(found: dict[str, Any]) -> str:
    rows = [
        [
            name,
            _gigabytes(entry["limit_bytes"]),
            f"FAILED: {entry['error']}" if entry["error"] else entry["batch"],
            ", ".join(
                f"{t['batch']}: {_gigabytes(t['peak_bytes'])}" for t in entry["tried"]
            ),
        ]
        for name, entry in found.items()
    ]
    return table(["contender", "limit, GB", "largest batch", "tried: peak, GB"], rows)


def _gigabytes(count: int) -> str:
    return f"{count / 2**30:.2f}"
