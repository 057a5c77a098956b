"""Writing the figures of a flow into a folder."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import time
from collections.abc import Sequence

from tfp_realnvp.figures.animation import write_animation
from tfp_realnvp.figures.catalog.figure import Figure, Subject
from tfp_realnvp.figures.catalog.table import CATALOG
from tfp_realnvp.figures.grid import write_png
from tfp_realnvp.files import remove_unfinished, write_json

_LISTED_NUMBERS = 5


def write_figures(
    subject: Subject,
    directory: str | os.PathLike,
    *,
    only: Sequence[str] | None = None,
    made_with: dict[str, str] | None = None,
) -> None:
    """Writes PNG files and `figures.json`, and prints a line for each.

    Each figure is written when it is done, so that none is lost if a later one fails.
    `figures.json` has an entry for each file in the folder; those of an earlier call
    stay unless they are written anew.

    Args:
      subject: What the figures are of.
      directory: The folder, made if it is not there.
      only: Names of figures, keys of `CATALOG`; `None` is all.
      made_with: Further facts for `figures.json`, such as which weights.

    Raises:
      ValueError: Before anything is written, if there is no such figure, or choices of
        the subject do not allow it; if none is left.
    """
    names = _check_names(only)
    obstacles = {name: CATALOG[name].obstacle(subject) for name in names}
    for name, obstacle in obstacles.items():
        if obstacle is not None:
            print(f"{name}: left out, for {obstacle}.", flush=True)
    if all(obstacle is not None for obstacle in obstacles.values()):
        raise ValueError(
            f"only: expected a figure that this flow can have, got {', '.join(names)}."
        )
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    remove_unfinished(directory)
    entries = _read(directory)
    facts = {
        **(made_with or {}),
        "seed": subject.seed,
        "temperature": subject.temperature,
    }
    for name in names:
        if obstacles[name] is not None:
            continue
        begin = time.perf_counter()
        for figure in CATALOG[name].make(subject):
            path = directory / f"{figure.name}.png"
            write = write_animation if figure.picture.ndim == 4 else write_png
            write(path, figure.picture)
            entries[path.name] = {**figure.as_json(), **facts}
            write_json(directory / "figures.json", entries)
            print(_line(path, figure, time.perf_counter() - begin), flush=True)
            begin = time.perf_counter()


def _check_names(only: Sequence[str] | None) -> list[str]:
    """Returns the names of the figures that are wanted, each once.

    Raises:
      ValueError: If there is no figure of that name.
    """
    for name in only or ():
        if name not in CATALOG:
            raise ValueError(
                f"only: expected figures among {', '.join(CATALOG)}; got {name!r}."
            )
    return [name for name in CATALOG if only is None or name in only]


def _read(directory: pathlib.Path) -> dict:
    """Returns what is known of files that are there already."""
    path = directory / "figures.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {k: v for k, v in entries.items() if (directory / k).is_file()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"output: {path} is damaged: {error}") from error


def _line(path: pathlib.Path, figure: Figure, seconds: float) -> str:
    numbers = itertools.islice(figure.numbers.items(), _LISTED_NUMBERS)
    listed = ", ".join(f"{name} {number}" for name, number in numbers)
    return f"{path} ({seconds:.0f} s): {listed}"
