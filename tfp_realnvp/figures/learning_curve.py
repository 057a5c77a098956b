"""The course of a training run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_realnvp.arguments import check_number, check_path, checked_array, shortened
from tfp_realnvp.files import atomic_path
from tfp_realnvp.optional import require


def write_learning_curve(
    path: str | os.PathLike,
    history: Mapping[str, Sequence[float]],
    *,
    references: Mapping[str, float],
) -> None:
    """Writes a PNG of bits/dim against epochs.

    Args:
      path: Where to write it.
      history: `bits_per_dim`, `val_bits_per_dim` and, where weights are averaged,
        `val_average_bits_per_dim` after each epoch.
      references: Horizontal lines to draw, by their labels.

    Raises:
      ImportError: If matplotlib is not installed.
      ValueError: If the history is empty, or these are no numbers.
    """
    check_path("path", path)
    curves = _checked("history", history)
    levels: dict[str, float] = {}
    for label, value in _checked("references", references).items():
        check_number("references", value.item() if value.ndim == 0 else value)
        levels[label] = value.item()
    for name in ("bits_per_dim", "val_bits_per_dim"):
        if name not in curves or curves[name].ndim != 1 or not curves[name].size:
            raise ValueError(
                f"history: expected {name} after each epoch, got "
                f"{', '.join(curves) or 'nothing'}."
            )
    require("matplotlib", "the learning curve", extra="demo")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    epochs = range(1, len(curves["bits_per_dim"]) + 1)
    for key, label in (
        ("bits_per_dim", "training, batch statistics"),
        ("val_bits_per_dim", "validation, running statistics"),
        ("val_average_bits_per_dim", "validation, averaged weights"),
    ):
        if key in curves:
            axes.plot(epochs, curves[key], marker=".", label=label)
    for style, (label, level) in zip(("--", ":"), levels.items(), strict=False):
        axes.axhline(level, color="gray", linestyle=style, label=f"{label} {level:.2f}")
    scores = np.concatenate([curves["bits_per_dim"], curves["val_bits_per_dim"]])
    # What is not finite leaves a gap in the line.
    lowest = min([8.0, *scores[np.isfinite(scores)]])
    axes.set_ylim(lowest - 0.2, max([8.2, *levels.values()]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="bits / dim")
    axes.legend()
    axes.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _checked(name: str, values: Any) -> dict[str, np.ndarray]:
    """Returns what a mapping holds as arrays of numbers."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{name}: expected a dict, got {shortened(values)}.")
    found = {key: checked_array(name, value) for key, value in values.items()}
    for key in found:
        if not isinstance(key, str):
            raise ValueError(f"{name}: expected names, got {shortened(key)}.")
    return found
