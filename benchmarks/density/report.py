"""The tables of the density benchmark, from the logs of its runs."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from typing import Any

from density.arms import ARMS, BASE


def report(logs: Sequence[dict[str, Any]], arms: Sequence[str] = tuple(ARMS)) -> str:
    """Returns a Markdown table of those of the arms that were run.

    Differences are means over the seeds that both arms were run with. Seconds for an
    update are those of the fastest points of the curves: what else the machine did
    makes an update slower and never faster.
    """
    lines = [
        f"| arm | seeds | test bits/dim | minus {BASE} | validation | updates | "
        "seconds | s/update | parameters |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    tests = by_seed(logs, BASE, "test")
    for arm in arms:
        own = [log for log in logs if log["arm"] == arm]
        if not own:
            continue
        test = by_seed(logs, arm, "test")
        shared = sorted(set(test) & set(tests))
        difference = in_words([test[seed] - tests[seed] for seed in shared], sign=True)
        cells = [
            arm,
            ", ".join(str(seed) for seed in sorted(test)),
            in_words(list(test.values())),
            "" if arm == BASE else difference,
            in_words(list(by_seed(logs, arm, "validation").values())),
            _range([log["updates_made"] for log in own]),
            _range([log["training_seconds"] for log in own]),
            _fastest([log["curve"] for log in own]),
            _range([log["parameters"] for log in own]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    commits = sorted({log["commit"][:12] for log in logs if log["arm"] in arms})
    return "\n".join(lines) + f"\n\nCommit {', '.join(commits)}.\n"


def by_seed(logs: Sequence[dict[str, Any]], arm: str, score: str) -> dict[int, float]:
    """Returns a score of an arm's runs, by their seeds."""
    return {log["seed"]: log[score] for log in logs if log["arm"] == arm}


def in_words(values: Sequence[float], *, sign: bool = False) -> str:
    """Returns mean and standard error, or a dash where there is nothing."""
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):{'+' if sign else ''}.4f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values) / math.sqrt(len(values)):.4f}"


def _fastest(curves: Sequence[Sequence[Sequence[float]]]) -> str:
    """Returns the fewest seconds for an update, between two points of a curve."""
    paces = [
        (after[1] - before[1]) / (after[0] - before[0])
        for curve in curves
        for before, after in itertools.pairwise(curve)
    ]
    return f"{min(paces):.2f}" if paces else "-"


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"
