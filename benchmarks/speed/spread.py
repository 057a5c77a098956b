"""Medians, ratios and how far they spread."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Spread:
    """A median with its quartiles."""

    median: float
    lower: float
    upper: float

    def scaled(self, factor: float) -> Spread:
        return Spread(factor * self.median, factor * self.lower, factor * self.upper)


def spread_of(values: Sequence[float]) -> Spread:
    """Returns the median and the quartiles of values.

    Raises:
      ValueError: If there are none.
    """
    if len(values) == 0:
        raise ValueError("values: expected at least one, got none.")
    lower, median, upper = np.percentile(np.asarray(values, float), [25, 50, 75])
    return Spread(float(median), float(lower), float(upper))


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Returns the ratio of each repetition, of as many as both have."""
    pairs = zip(numerators, denominators, strict=False)
    return [above / below for above, below in pairs]


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Returns the b of `seconds = a * sizes**b`, fitted in logarithms.

    Raises:
      ValueError: If there are fewer than two sizes.
    """
    if len(set(sizes)) < 2:
        raise ValueError(f"sizes: expected two that differ, got {list(sizes)}.")
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def seconds_of(
    cell: dict[str, Any], contender: str, operation: str
) -> list[float] | None:
    """Returns the first group's timings of a contender in a cell, if there are any."""
    for group in cell["groups"]:
        seconds = group.get(contender, {}).get("seconds", {}).get(operation)
        if seconds:
            return seconds
    return None


def ratio_of(
    cell: dict[str, Any],
    above: tuple[str, str],
    below: tuple[str, str],
) -> Spread | None:
    """Returns the ratio of two (contender, operation) that ran beside each other."""
    for group in cell["groups"]:
        both = [
            group.get(contender, {}).get("seconds", {}).get(operation)
            for contender, operation in (above, below)
        ]
        if all(both):
            return spread_of(ratios(*both))
    return None
