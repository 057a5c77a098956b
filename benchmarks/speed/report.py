"""The results as tables in Markdown."""

import math
import statistics

from harness.tables import Spread, ratios, table

from speed.cells import OPERATIONS

LABELS = {"pixels": "pixels of the image", "blocks": "residual blocks in each network"}
NO_RESULTS = (
    "**These figures are no results**: `--quick` tries the command out on tiny sizes, "
    "where what is timed is mostly overhead."
)
EXPLANATION = (
    "Times are medians over repetitions in which all contenders of a group ran in "
    "turns. A ratio is the contender's time by that of the group's first contender in "
    "the same repetition: median [quartiles], above 1 where the contender is slower. "
    "First calls include tracing and compiling. In the row of a failed contender "
    "stands what it said. Memory is resident, in GB of 2^30 bytes."
)


def report(results):
    """Returns the whole report of a run."""
    growth = list(exponents(results["cells"]))
    parts = ["# Speed"]
    if results["quick"]:
        parts.append(NO_RESULTS)
    parts += [_machine(results["run"]), EXPLANATION]
    if growth:
        header = ["series", "batch", "operation", "exponent of our time per batch"]
        parts += ["## Growth", table(header, growth)]
    parts += [part for cell in results["cells"].values() for part in _cell(cell)]
    return "\n\n".join(parts) + "\n"


def _machine(run):
    flags = [name for name, there in run["flags"].items() if there]
    without = [name for name, there in run["flags"].items() if not there]
    versions = ", ".join(f"{n} {v}" for n, v in run["packages"].items() if v)
    loads = ", ".join(f"{load:.2f}" for load in run["load_average_at_start"])
    lines = [
        f"- command: `{run['command']}`, {run['date']}",
        f"- machine: {run['cpu']}, {run['cores']} cores, "
        f"{run['memory_bytes'] / 2**30:.0f} GB, with {', '.join(flags) or 'none'}, "
        f"without {', '.join(without) or 'none'}",
        f"- load average at the start: {loads}",
        f"- versions: {versions}, Python {run['python']}",
        f"- commit: {run['commit'] or 'not known'}",
    ]
    if peer := run["image_peer"]:
        lines.append(f"- image peer: {peer['path']}, commit {peer['commit']}")
    return "\n".join(lines)


def _cell(cell):
    sizes = ", ".join(f"{name} {value}" for name, value in cell["sizes"].items())
    minutes = cell["seconds"] / 60
    yield f"## {cell['name']}"
    yield f"{sizes}, batch {cell['batch']}; {cell['date']}, {minutes:.1f} minutes."
    header = ["contender", "operation", "ms", "ms per event", "ratio", "first call, s"]
    for group in cell["groups"]:
        yield table([*header, "network runs"], list(_times(cell, group)))
        yield _contenders(group)
    if cell["memory"]:
        yield _memory(cell["memory"])


def events_in(cell, operation):
    """Returns the batch size of an operation, which can be part of its name."""
    return int(operation.partition(" ")[2] or cell["batch"])


def _times(cell, group):
    first = next(iter(group.values()))
    for operation in cell["operations"]:
        for name, entry in group.items():
            seconds = entry["seconds"].get(operation)
            if not seconds:
                continue
            ms = 1e3 * statistics.median(seconds)
            reference = first["seconds"].get(operation)
            runs = entry["network_runs"].get(operation)
            yield [
                name,
                operation,
                f"{ms:.4g}",
                f"{ms / events_in(cell, operation):.4g}",
                str(Spread.of(ratios(seconds, reference))) if reference else "",
                f"{entry['first_seconds'][operation]:.2f}",
                "" if runs is None else f"{runs:g}",
            ]


def _contenders(group):
    rows = []
    for name, entry in group.items():
        failed, told = [f"FAILED: {entry['error']}"] * bool(entry["error"]), 3 * [""]
        if "parameters" in entry:
            threads = (f"{kind} {count}" for kind, count in entry["threads"].items())
            told = [f"{entry['parameters']:,}", ", ".join(threads)]
            told.append(f"{entry['build_seconds']:.1f}")
        peak = _gigabytes(entry.get("resident_peak_bytes"))
        notes = "; ".join([*failed, *entry.get("notes", [])])
        rows.append([name, *told, peak, notes])
    header = ["contender", "parameters", "threads (0: all cores)", "building, s"]
    return table([*header, "peak of the process, GB", "note"], rows)


def _memory(memory):
    rows = []
    for name, entry in memory.items():
        peaks = [_gigabytes(entry.get(key)) for key in ("peak_bytes", "step_bytes")]
        error = entry["error"]
        note = f"FAILED: {error}" if error else f"from {entry['peak_from']}"
        rows.append([name, *peaks, note])
    header = ["contender", "peak of training, GB", "less what was there before, GB", ""]
    return table(header, rows)


def _gigabytes(count):
    return "" if count is None else f"{count / 2**30:.2f}"


def seconds_of(cell, contender, operation):
    """Returns a contender's timings in the first group that has it; empty if none."""
    groups = (group[contender] for group in cell["groups"] if contender in group)
    return next(groups, {}).get("seconds", {}).get(operation, [])


def batches_of(cells, series):
    return sorted({c["batch"] for c in cells.values() if series in c["series"]})


def points(cells, series, batch, contender, operation):
    """Returns the sizes of a series, in order, and the seconds at each."""
    found = []
    for cell in cells.values():
        seconds, sizes = seconds_of(cell, contender, operation), cell["sizes"]
        if series in cell["series"] and cell["batch"] == batch and seconds:
            if series == "pixels":
                size = math.prod(sizes["event_shape"][:2])
            else:
                size = sizes[f"num_{series}"]
            found.append((size, seconds))
    return sorted(found)


def exponents(cells):
    """Yields series, batch, operation and our exponent b in `seconds = a * size**b`."""
    for series in LABELS:
        for batch in batches_of(cells, series):
            for operation in OPERATIONS:
                found = points(cells, series, batch, "ours", operation)
                if len(found) < 2:
                    continue
                sizes = [math.log(size) for size, _ in found]
                # One log-log fit for each repetition.
                fits = [
                    statistics.linear_regression(sizes, list(map(math.log, s))).slope
                    for s in zip(*(s for _, s in found), strict=False)
                ]
                yield series, batch, operation, Spread.of(fits)
