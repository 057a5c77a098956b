"""Timings looked up in the results, and how they grow with the flow's sizes."""

import math
import statistics

from harness.tables import Spread

from speed.cells import OPERATIONS

LABELS = {"pixels": "pixels of the image", "blocks": "residual blocks in each network"}


def seconds_of(cell, contender, operation):
    """Returns the timings in the first group with a contender; empty if none."""
    groups = (group[contender] for group in cell["groups"] if contender in group)
    return next(groups, {}).get("seconds", {}).get(operation, [])


def batches_of(cells, series):
    return sorted({c["batch"] for c in cells.values() if series in c["series"]})


def points(cells, series, batch, contender, operation):
    """Returns the sizes of a series, in order, with the seconds at each."""
    found = []
    for cell in cells.values():
        if series in cell["series"] and cell["batch"] == batch:
            seconds = seconds_of(cell, contender, operation)
            if seconds:
                found.append((size_in(cell, series), seconds))
    return sorted(found)


def size_in(cell, series):
    """Returns a cell's place in a series: pixels, blocks or couplings."""
    if series == "pixels":
        return math.prod(cell["sizes"]["event_shape"][:2])
    return cell["sizes"][f"num_{series}"]


def exponents(cells):
    """Yields series, batch, operation and the b of `seconds = a * size**b` of ours."""
    for series in LABELS:
        for batch in batches_of(cells, series):
            for operation in OPERATIONS:
                found = points(cells, series, batch, "ours", operation)
                if len(found) < 2:
                    continue
                sizes = [math.log(size) for size, _ in found]
                # One fit in logarithms for each repetition.
                fits = [
                    statistics.linear_regression(sizes, list(map(math.log, s))).slope
                    for s in zip(*(s for _, s in found), strict=False)
                ]
                yield series, batch, operation, Spread.of(fits)
