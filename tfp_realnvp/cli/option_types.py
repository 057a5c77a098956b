"""What the command line takes as the value of an option."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def whole(least: int, most: int = 2**63 - 1) -> Callable[[str], int]:
    """Returns a type of option: an integer from `least` to `most`."""
    words = {1: "a positive int", 0: "a non-negative int"}[least]
    if most < 2**63 - 1:
        words = f"an int from {least} to {most}"

    def read(value: str) -> int:
        try:
            if least <= int(value) <= most:
                return int(value)
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"expected {words}, got {value!r}")

    return read


def number(
    *, least: float = -math.inf, above: float = -math.inf, below: float = math.inf
) -> Callable[[str], float]:
    """Returns a type of option: a finite number between bounds."""
    bounds = [
        f"{word} {bound:g}"
        for word, bound in (("from", least), ("above", above), ("below", below))
        if math.isfinite(bound)
    ]

    def read(value: str) -> float:
        try:
            found = float(value)
            if math.isfinite(found) and least <= found and above < found < below:
                return found
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(
            f"expected {' '.join(['a finite number', *bounds])}, got {value!r}"
        )

    return read


def text(value: str) -> str:
    """A type of option: what can be a path, as an empty string or NUL cannot."""
    if not value.strip() or "\0" in value:
        raise argparse.ArgumentTypeError(f"expected a path, got {value!r}")
    return value


seed = whole(0, 2**32 - 1)
