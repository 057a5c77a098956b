"""Writing files so that a killed run leaves none half written."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a path to write to, which takes the place of `path` when all is well.

    The temporary file lies beside `path` and ends like it, for writers that look at
    the ending. If the writer fails it is removed and `path` stays as it was; what a
    killed one leaves, the next to write `path` removes.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    for left in path.parent.glob(f".*.{glob.escape(path.name)}"):
        writer = left.name.split(".")[1]
        if writer.isdecimal() and not _is_running(int(writer)):
            left.unlink(missing_ok=True)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            # Else a crash of the machine could leave the new name without contents.
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as indented JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
