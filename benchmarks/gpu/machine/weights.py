"""What training on the GPU machine begins with, and what of it goes back."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from state_parts import read_parts


def write_state(
    folder: pathlib.Path,
    about: Mapping[str, Any],
    learning_rate: float,
    steps: int | None,
) -> None:
    """Writes all variables' first values: those that are packed, and zeros.

    Args:
      folder: Where all that was packed lies.
      about: What `pack` told.
      learning_rate: The highest.
      steps: Length of the schedule; `None` leaves it as it was packed.
    """
    state, _ = read_parts(_parts(folder, "initial"))
    for path in [*folder.glob("step_b*.json"), folder / "eval.json"]:
        for spec in json.loads(path.read_text(encoding="utf-8"))["params"]:
            name = spec["name"]
            is_variable = spec["kind"] == "var" and not name.startswith("const/")
            if is_variable and name not in state:
                state[name] = np.zeros(spec["shape"], spec["dtype"])
    state[about["names"]["learning_rate"]] = np.float64(learning_rate)
    if steps is not None:
        state[about["names"]["steps"]] = np.float64(steps)
    np.savez(folder / "state.npz", **state)


def chosen(
    folder: pathlib.Path, which: str, about: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns the weights that were saved last, and what is known of them.

    Args:
      folder: Where all that was packed lies.
      which: `"average"`, which is `"weights"` where no average is kept, or
        `"weights"`.
      about: What `pack` told.
    """
    state, extra = read_parts(_parts(folder / "out", "trained"))
    names = about["names"][which] or about["names"]["weights"]
    return {name: state[name] for name in names}, extra


def _parts(folder: pathlib.Path, prefix: str) -> list[str]:
    return sorted(map(str, folder.glob(f"{prefix}-[0-9]*.npz")))
