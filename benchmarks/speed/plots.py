"""The results as pictures."""

from __future__ import annotations

import pathlib
from typing import Any

from speed.report import events_in
from speed.spread import seconds_of, spread_of
from speed.targets import growth_points, size_in
from tfp_realnvp.files import atomic_path

LABELS = {
    "pixels": "pixels of the image",
    "blocks": "residual blocks in each network",
}


def draw_plots(results: dict[str, Any], output: pathlib.Path) -> list[pathlib.Path]:
    """Writes a picture of each series that has something to show, and returns them."""
    # Imported here: the figures are there without it.
    import matplotlib

    matplotlib.use("Agg")
    cells, written = results["cells"], []
    for series in LABELS:
        for batch in sorted(
            {c["batch"] for c in cells.values() if series in c["series"]}
        ):
            figure = _growth(cells, series, batch)
            if figure is not None:
                path = output / f"{series}_batch_{batch}.png"
                written.append(_save(figure, path, results["quick"]))
    for name, figure in (("memory", _memory(cells)), ("serving", _serving(cells))):
        if figure is not None:
            written.append(_save(figure, output / f"{name}.png", results["quick"]))
    return written


def _save(figure, path: pathlib.Path, quick: bool) -> pathlib.Path:
    import matplotlib.pyplot as plt

    if quick:
        figure.suptitle("NO RESULTS: --quick tries the command out")
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)
    return path


def _growth(cells, series: str, batch: int):
    import matplotlib.pyplot as plt

    operations = ("train", "log_prob", "sample")
    figure, all_axes = plt.subplots(1, 3, figsize=(13, 4.5), sharex=True)
    names = list(dict.fromkeys(n for c in cells.values() for n in c["contenders"]))
    drawn = False
    for axes, operation in zip(all_axes, operations, strict=True):
        for name in names:
            points = growth_points(cells, series, batch, name, operation)
            if len(points) < 2:
                continue
            sizes = [size for size, _ in points]
            spreads = [spread_of(seconds).scaled(1e3 / batch) for _, seconds in points]
            medians = [spread.median for spread in spreads]
            errors = [
                [s.median - s.lower for s in spreads],
                [s.upper - s.median for s in spreads],
            ]
            axes.errorbar(sizes, medians, errors, marker="o", capsize=2, label=name)
            if name == "ours":
                straight = [medians[-1] * size / sizes[-1] for size in sizes]
                axes.plot(sizes, straight, "k:", label="proportional, through our last")
            drawn = True
        axes.set(title=operation, xlabel=LABELS[series], xscale="log", yscale="log")
    if not drawn:
        plt.close(figure)
        return None
    ticks = sorted(
        {size_in(c, series) for c in cells.values() if series in c["series"]}
    )
    for axes in all_axes:
        axes.set_xticks(ticks, map(str, ticks))
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    all_axes[0].set_ylabel(f"ms per image, batch {batch}\n(median, quartiles)")
    all_axes[-1].legend(fontsize=7)
    return figure


def _memory(cells):
    import matplotlib.pyplot as plt

    chains = [cell for cell in cells.values() if "couplings" in cell["series"]]
    lines: dict[str, list[tuple[int, float]]] = {}
    for cell in sorted(chains, key=lambda c: size_in(c, "couplings")):
        for name, entry in cell["memory"].items():
            if not entry["error"]:
                point = (size_in(cell, "couplings"), entry["peak_bytes"] / 2**30)
                lines.setdefault(name, []).append(point)
    if not any(len(points) > 1 for points in lines.values()):
        return None
    figure, axes = plt.subplots(figsize=(6, 4.5))
    for name, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set(xlabel="couplings", ylabel="peak memory of a training step, GB")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _serving(cells):
    import matplotlib.pyplot as plt

    cell = next((c for c in cells.values() if "serving" in c["series"]), None)
    if cell is None or not any(
        entry["seconds"] for entry in cell["groups"][0].values()
    ):
        return None
    figure, all_axes = plt.subplots(1, 2, figsize=(10, 4.5), sharey=True)
    for axes, kind in zip(all_axes, ("log_prob", "sample"), strict=True):
        for name in cell["contenders"]:
            points = []
            for operation in cell["operations"]:
                seconds = seconds_of(cell, name, operation)
                if seconds and operation.startswith(kind):
                    batch = events_in(cell, operation)
                    points.append((batch, 1e3 * spread_of(seconds).median))
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", label=name)
        axes.set(title=kind, xlabel="images in a call", xscale="log", yscale="log")
        axes.grid(alpha=0.3)
        axes.legend()
    all_axes[0].set_ylabel("ms per call (median)")
    return figure
