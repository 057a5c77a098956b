"""Writing files so that a killed run leaves none half written."""

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


@contextlib.contextmanager
def locked(path: str | os.PathLike, message: str) -> Iterator[None]:
    """Holds a lock that one process at a time can have, and that ends with it.

    Args:
      path: File to lock, which is made, and removed at the end.
      message: Of the error.

    Raises:
      BlockingIOError: If another process holds it.
    """
    path = pathlib.Path(path)
    with open(path, "a") as file:
        try:
            _lock(file.fileno())
        except OSError as error:
            # A file system without locks is no reason not to write to it.
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise BlockingIOError(message) from error
        try:
            is_there = os.path.samestat(os.stat(path), os.fstat(file.fileno()))
        except FileNotFoundError:
            is_there = False
        if not is_there:
            # The other one removed it, at its end, after this one had opened it.
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


@contextlib.contextmanager
def written_rows(
    output: str | os.PathLike | None,
) -> Iterator[Callable[[Mapping[str, Iterable[str | float]]], None]]:
    """Yields a function that writes columns as the next rows of a CSV file.

    Until all is well the file's name ends in `.partial`, where what a killed or failed
    writer has written stays.

    Raises:
      BlockingIOError: If another process is writing it.
    """
    if output is None:
        yield lambda columns: None
        return
    path = pathlib.Path(output)
    partial = path.with_name(f"{path.name}.partial")
    lock = path.with_name(f".{path.name}.lock")
    with (
        locked(lock, f"output: another process is writing {path}."),
        # A stranger's file name need not be text.
        partial.open("w", -1, "utf-8", "backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file)

        def write(columns: Mapping[str, Iterable[str | float]]) -> None:
            if not file.tell():
                writer.writerow(columns)
            writer.writerows(
                zip(*(map(_cell, c) for c in columns.values()), strict=True)
            )
            file.flush()

        yield write
        os.fsync(file.fileno())
        os.replace(partial, path)


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:.7g}"
