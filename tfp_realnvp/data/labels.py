"""Classes and numbers that a user's own images come with."""

from __future__ import annotations

import csv
import math
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from tfp_realnvp.data.image_files import shown

_CLASS_COLUMNS = ("label", "class")


def classes_of_folders(below: Mapping[str, str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the class of each image, the first subfolder that it is in.

    Args:
      below: What of each image's name is below the folder of its split, by name.

    Returns:
      labels: `int32` array of shape `[count]`, in the order of `below`.
      names: The classes, in order.

    Raises:
      ValueError: If an image is in no subfolder, or there are fewer than two.
    """
    found = []
    for name, rest in below.items():
        top, slash, _ = rest.partition("/")
        if not slash:
            raise ValueError(
                "conditional: expected each image in the subfolder of its class, or "
                f"labels from a CSV file, got {shown(name)!r} in none."
            )
        found.append(top)
    return _numbered(found)


def read_labels(
    path: str | os.PathLike, images: list[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns what a CSV file says of each image.

    Its first line names the columns. The first, `file`, has names as they are below
    the folder, or in the archive; others of these are passed over. A second one alone,
    named `label` or `class` or of words, has classes; others have numbers.

    Args:
      path: The file, in UTF-8.
      images: Names of the images.

    Returns:
      conditions: Array in the order of `images`: labels, `int32` of shape `[count]`;
        attributes, `bool` of shape `[count, K]`, if all numbers are 0 or 1; or
        `float32` of that shape.
      names: The classes, or the columns.

    Raises:
      FileNotFoundError: If there is no such file.
      ValueError: If it is not such a file, or an image is missing.
    """
    path = pathlib.Path(path).expanduser()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *lines = [line for line in csv.reader(file) if line] or [[]]
    except (ValueError, csv.Error) as error:
        raise _refusal(path, "lines of text, separated by commas", error) from error
    if len(header) < 2 or header[0].strip().lower() != "file":
        raise _refusal(path, "a first line like file,label", ",".join(header))
    short = next((line for line in lines if len(line) != len(header)), None)
    if short is not None:
        raise _refusal(path, f"{len(header)} columns", ",".join(short))
    rows = {line[0].removeprefix("./"): line[1:] for line in lines}
    missing = next((name for name in images if name not in rows), None)
    if missing is not None:
        raise _refusal(path, f"a line for {shown(missing)}", "none")
    columns = [column.strip() for column in header[1:]]
    table = [[cell.strip() for cell in rows[name]] for name in images]
    is_class = len(columns) == 1 and (
        columns[0].lower() in _CLASS_COLUMNS or not all(_is_number(r[0]) for r in table)
    )
    if is_class:
        return _numbered([cells[0] for cells in table])
    bad = next((c for cells in table for c in cells if not _is_number(c)), None)
    if bad is not None:
        raise _refusal(path, "finite numbers", bad)
    values = np.array(table, np.float32)
    if np.isin(values, (0, 1)).all():
        return values.astype(np.bool_), tuple(columns)
    return values, tuple(columns)


def _numbered(found: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    names = sorted(set(found))
    if len(names) < 2:
        raise ValueError(f"conditional: expected at least 2 classes, got {names}.")
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[name] for name in found], np.int32), tuple(names)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _refusal(path: pathlib.Path, expected: str, got: object) -> ValueError:
    return ValueError(f"labels: expected {expected} in {path}, got {shown(str(got))}.")
