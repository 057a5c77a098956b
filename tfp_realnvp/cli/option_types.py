"""What the command line takes as the value of an option."""

from __future__ import annotations

import argparse
import math
import pathlib
from collections.abc import Callable
from typing import Any

from tfp_realnvp.choices import DATA_SETS


def _checked(
    kind: Callable[[str], Any], fits: Callable[[Any], Any], expected: str
) -> Callable[[str], Any]:
    def read(value: str) -> Any:
        try:
            if fits(kind(value)):
                return kind(value)
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"expected {expected}, got {value!r}")

    return read


def _is_inside(value: str) -> bool:
    path = pathlib.PurePath(value)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


positive_int = _checked(int, lambda v: 1 <= v < 2**63, "a positive int")
natural = _checked(int, lambda v: 0 <= v < 2**63, "a non-negative int")
seed = _checked(int, lambda v: 0 <= v < 2**32, f"an int from 0 to {2**32 - 1}")
positive = _checked(float, lambda v: 0 < v < math.inf, "a positive number")
temperature = _checked(float, lambda v: 0 <= v < math.inf, "0 or more, and finite")
decay = _checked(float, lambda v: 0 <= v < 1, "a number from 0 to below 1")
path = _checked(str, lambda v: v.strip() and "\0" not in v, "a path")
run_name = _checked(str, _is_inside, "the name of a folder in RUNS")
# A shell leaves `folder:` of a variable that is not set.
dataset = _checked(
    str,
    lambda v: v in DATA_SETS or (v.startswith("folder:") and v[7:].strip()),
    f"{', '.join(DATA_SETS)} or folder:PATH",
)
