"""The results as pictures."""

import statistics

from harness.tables import Spread
from matplotlib.figure import Figure

from speed.cells import OPERATIONS
from speed.report import LABELS, batches_of, events_in, points, seconds_of
from tfp_realnvp.files import atomic_path


def draw_plots(results, output):
    """Writes a picture of each series that has results, and returns the paths."""
    cells = results["cells"]
    figures = {"serving": _serving(cells)}
    for series in LABELS:
        for batch in batches_of(cells, series):
            figures[f"{series}_batch_{batch}"] = _growth(cells, series, batch)
    written = []
    for name, figure in figures.items():
        if figure is not None:
            if results["quick"]:
                figure.suptitle("NO RESULTS: --quick tries the command out")
            written.append(output / f"{name}.png")
            with atomic_path(written[-1]) as temporary:
                figure.savefig(temporary, dpi=120)
    return written


def _growth(cells, series, batch):
    figure = Figure(figsize=(13, 4.5), layout="tight")
    panels = figure.subplots(1, 3, sharex=True)
    ticks = set()
    for panel, operation in zip(panels, OPERATIONS, strict=True):
        for name in dict.fromkeys(n for c in cells.values() for n in c["contenders"]):
            found = points(cells, series, batch, name, operation)
            if len(found) < 2:
                continue
            sizes, timings = zip(*found, strict=True)
            ticks.update(sizes)
            spreads = [Spread.of([1e3 * s / batch for s in times]) for times in timings]
            medians = [s.median for s in spreads]
            ends = [(s.median - s.lower, s.upper - s.median) for s in spreads]
            errors = list(zip(*ends, strict=True))
            panel.errorbar(sizes, medians, errors, marker="o", capsize=2, label=name)
            if name == "ours":
                straight = [medians[-1] * size / sizes[-1] for size in sizes]
                label = "proportional, through our last"
                panel.plot(sizes, straight, "k:", label=label)
        panel.set(title=operation, xlabel=LABELS[series], xscale="log", yscale="log")
    if not ticks:
        return None
    for panel in panels:
        panel.set_xticks(sorted(ticks), map(str, sorted(ticks)))
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel(f"ms per image, batch {batch}\n(median, quartiles)")
    panels[-1].legend(fontsize=7)
    return figure


def _serving(cells):
    cell = next((c for c in cells.values() if "serving" in c["series"]), None)
    if cell is None:
        return None
    figure = Figure(figsize=(10, 4.5), layout="tight")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, kind in zip(panels, OPERATIONS[1:], strict=True):
        for name in cell["contenders"]:
            calls = [
                (events_in(cell, operation), 1e3 * statistics.median(seconds))
                for operation in cell["operations"]
                if operation.startswith(kind)
                and (seconds := seconds_of(cell, name, operation))
            ]
            if calls:
                panel.plot(*zip(*calls, strict=True), marker="o", label=name)
        panel.set(title=kind, xlabel="images in a call", xscale="log", yscale="log")
        panel.grid(alpha=0.3)
        panel.legend()
    panels[0].set_ylabel("ms per call (median)")
    return figure
