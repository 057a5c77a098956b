"""The tables of the density benchmark, from the logs of its runs."""

import itertools
import json

from harness.tables import filled, mean_and_error, table

from density.arms import ARMS, BASE

HEADER = f"arm|seeds|test bits/dim|minus {BASE}|validation".split("|")
HEADER += ["updates", "seconds", "s/update", "parameters"]


def report(logs, arms=tuple(ARMS)):
    """Returns a Markdown table of the arms that were run.

    Differences are means over the seeds that both arms have.
    """
    base, rows = by_seed(logs, BASE), []
    for arm in arms:
        own, test = [log for log in logs if log["arm"] == arm], by_seed(logs, arm)
        if not own:
            continue
        differences = [test[s] - base[s] for s in sorted(set(test) & set(base))]
        rows.append(
            [
                arm,
                ", ".join(map(str, sorted(test))),
                mean_and_error(list(test.values())),
                "" if arm == BASE else mean_and_error(differences, sign=True),
                mean_and_error([log["validation"] for log in own]),
                _range([log["updates_made"] for log in own]),
                _range([log["training_seconds"] for log in own]),
                _fastest([log["curve"] for log in own]),
                _range([log["parameters"] for log in own]),
            ]
        )
    commits = sorted({log["commit"][:12] for log in logs if log["arm"] in arms})
    return f"{table(HEADER, rows)}\n\nCommit {', '.join(commits)}."


def by_seed(logs, arm):
    """Returns the test scores of an arm's runs, by seed."""
    return {log["seed"]: log["test"] for log in logs if log["arm"] == arm}


def rendered(path):
    """Returns a document's text with all its tables made from the logs.

    A table is between two comments. The first names the arms and a file of logs, in the
    folder that has the document's name:

        <!-- density updates.jsonl ["PyTorch peer", "cifar10-plus"] -->
        <!-- end -->
    """

    def render(arguments):
        name, _, arms = arguments.partition(" ")
        lines = (path.with_suffix("") / name).read_text(encoding="utf-8").splitlines()
        logs, wanted = [json.loads(line) for line in lines], json.loads(arms)
        missing = set(wanted) - {log["arm"] for log in logs}
        if missing:
            raise ValueError(
                f"{name}: expected runs of {'; '.join(wanted)}; got none of "
                f"{'; '.join(sorted(missing))}."
            )
        return report(logs, wanted)

    return filled(path.read_text(encoding="utf-8"), "density", render)


def _fastest(curves):
    """Returns the fewest seconds for an update, between two points of a curve.

    Other work on the machine only makes updates slower, so the fastest is the truest.
    """
    paces = [
        (after[1] - before[1]) / (after[0] - before[0])
        for curve in curves
        for before, after in itertools.pairwise(curve)
    ]
    return f"{min(paces):.2f}" if paces else "-"


def _range(values):
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"
