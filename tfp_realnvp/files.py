"""Writing of files, such that a killed process leaves none half written."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import math
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any


def check_output(path: pathlib.Path) -> None:
    """Raises `ValueError` unless a file can be written to `path`."""
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(
            f"output: expected a file in a folder that exists, got {path}."
        )


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path, with the same suffix, that replaces `path` at the end.

    `remove_unfinished` removes what a killed writer has left.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            # Otherwise a crash of the machine could leave an empty file.
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: str | os.PathLike, message: str) -> Iterator[None]:
    """Holds a lock, released at the latest with its process, or raises an error."""
    path = pathlib.Path(path)
    with open(path, "a") as file:
        try:
            _lock(file.fileno())
            # Another process may have removed the file since it was opened.
            is_held = os.path.samestat(os.stat(path), os.fstat(file.fileno()))
        except FileNotFoundError:
            is_held = False
        except OSError as error:
            # File systems without locks can be written to all the same.
            is_held = error.errno not in (errno.EACCES, errno.EAGAIN)
        if not is_held:
            raise BlockingIOError(message)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def _lock(number: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_unfinished(directory: str | os.PathLike) -> None:
    """Removes the leftovers of killed writers from a folder with no active writer."""
    for path in sorted(pathlib.Path(directory).glob(".*")):
        _, writer, *name = path.name.split(".")
        if not writer.isdecimal():
            continue
        if name[-1] == "replaced":
            # The writer was killed between moving the old away and the new in.
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


@contextlib.contextmanager
def written_rows(
    output: str | os.PathLike | None,
) -> Iterator[Callable[[Mapping[str, Iterable[str | float]]], None]]:
    """Yields a function that appends columns of a table to a CSV file.

    The file's name ends in `.partial` until all is written, and for good if that fails.
    """
    if output is None:
        yield lambda columns: None
        return
    path = pathlib.Path(output)
    partial = path.with_name(f"{path.name}.partial")
    lock = path.with_name(f".{path.name}.lock")
    with (
        locked(lock, f"output: another process is writing {path}."),
        # The table can contain file names, which need not be valid text.
        partial.open("w", -1, "utf-8", "backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file)

        def write(columns: Mapping[str, Iterable[str | float]]) -> None:
            if not file.tell():
                writer.writerow(columns)
            for row in zip(*columns.values(), strict=True):
                writer.writerow(map(_cell, row))
            file.flush()

        yield write
        os.fsync(file.fileno())
        os.replace(partial, path)


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:.7g}"
