"""Writing files so that a killed run leaves none half written."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any


def check_output(path: pathlib.Path) -> None:
    """Raises `ValueError` unless `path` can be that of a file to write."""
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(
            f"output: expected a file in a folder that exists, got {path}."
        )


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a path to write to, which takes the place of `path` when all is well.

    The temporary file lies beside `path` and ends like it, for writers that look at
    the ending. If the writer fails it is removed and `path` stays as it was. What a
    killed one leaves, `remove_unfinished` removes.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            # Else a crash of the machine could leave the new name without contents.
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(directory: str | os.PathLike) -> None:
    """Removes what writers that were killed have left in a folder nobody writes to."""
    for path in sorted(pathlib.Path(directory).glob(".*")):
        _, writer, *name = path.name.split(".")
        if not writer.isdecimal():
            continue
        if name[-1] == "replaced":
            # The writer was killed between taking the old away and putting the new.
            old = path.with_name(".".join(name[:-1]))
            if not old.exists():
                path.rename(old)
                continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as indented JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
