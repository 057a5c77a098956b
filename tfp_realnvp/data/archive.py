"""Archives of images, which may come from a stranger: read, and never unpacked."""

from __future__ import annotations

import contextlib
import functools
import gzip
import itertools
import os
import pathlib
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO, NamedTuple, cast

from tfp_realnvp.data.forward_file import ForwardFile
from tfp_realnvp.data.image_file import LARGEST_FILE, is_image_name

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_MOST_MEMBERS = 2**21
_LARGEST_TOTAL = 2**38
# DEFLATE reaches 1,032, which takes a file of one byte over and over.
_LARGEST_RATIO = 200
# So little does no harm, however small it was.
_ANY_RATIO = 2**24
_AT_ONCE = 2**20
_ENCRYPTED = 0x2041


class _Member(NamedTuple):
    name: str
    is_folder: bool
    size: int
    read: Callable[[], bytes]


def list_archive(path: pathlib.Path) -> list[str]:
    """Returns the names of what is in an archive, once all of it has been checked.

    Args:
      path: ZIP or tar archive, perhaps compressed by gzip.

    Returns:
      List of Python `str` with `/` between folders, and at the end of a folder's name.

    Raises:
      ValueError: If it is damaged, or has a member that leads out of it, is no plain
        file, is encrypted, comes twice, or unpacks to too much.
    """
    names = []
    for member in _members(path):
        names.append(f"{member.name}/" if member.is_folder else member.name)
    names = [name for name in names if name != "./"]
    files = sorted(name for name in names if not name.endswith("/"))
    for one, next_one in itertools.pairwise(files):
        if one == next_one:
            raise _refusal(path, one, "one file of that name", "two")
    return names


def read_archive(
    path: pathlib.Path, names: Collection[str]
) -> Iterator[tuple[str, bytes]]:
    """Yields names and contents of some files of an archive, in the archive's order.

    Args:
      path: As for `list_archive`.
      names: Set of what `list_archive` returned.

    Raises:
      ValueError: As `list_archive`, or if a file cannot be read, or is not there.
    """
    left = set(names)
    for member in _members(path):
        if member.name in left and not member.is_folder:
            left.remove(member.name)
            with _damage_named(path, member.name):
                contents = member.read()
                if len(contents) != member.size:
                    raise EOFError(f"{len(contents)} of {member.size} bytes")
            yield member.name, contents
    if left:
        raise _refusal(path, min(left), "the file that was there before", "none")


def _members(path: pathlib.Path) -> Iterator[_Member]:
    """Yields the members in their order, each checked; files are read when yielded."""
    members = _members_of_zip if path.name.lower().endswith(".zip") else _members_of_tar
    total, largest = 0, min(_LARGEST_TOTAL, _most(path.stat().st_size))
    for number, member in enumerate(members(path), start=1):
        if number > _MOST_MEMBERS:
            raise _refusal(
                path, member.name, f"at most {_MOST_MEMBERS:,} files", "more"
            )
        if is_image_name(member.name) and member.size > LARGEST_FILE:
            raise _refusal(
                path, member.name, f"at most {LARGEST_FILE:,} bytes", f"{member.size:,}"
            )
        total += member.size
        if total > largest:
            raise _refusal(
                path, member.name, f"to unpack to at most {largest:,} bytes", "more"
            )
        yield member


def _members_of_zip(path: pathlib.Path) -> Iterator[_Member]:
    with contextlib.ExitStack() as stack:
        with _damage_named(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
        for info in archive.infolist():
            # `filename` ends before a NUL.
            name = _checked_name(path, info.orig_filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refusal(path, name, "a plain file", "a link or a device")
            if not 0 <= info.header_offset < path.stat().st_size:
                raise _refusal(path, name, "a place in the archive", "one outside")
            if info.flag_bits & _ENCRYPTED:
                raise _refusal(path, name, "a plain file", "an encrypted one")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                # Python's readers of the others take as much memory as they are told.
                raise _refusal(
                    path,
                    name,
                    "a file stored or deflated",
                    f"compression {info.compress_type}",
                )
            if info.file_size > _most(info.compress_size):
                raise _refusal(
                    path,
                    name,
                    f"at most {_most(info.compress_size):,} bytes packed into "
                    f"{info.compress_size:,}",
                    f"{info.file_size:,}",
                )

            def read(info: zipfile.ZipInfo = info) -> bytes:
                with archive.open(info) as file:
                    return file.read(info.file_size + 1)

            yield _Member(name, info.is_dir(), info.file_size, read)


def _members_of_tar(path: pathlib.Path) -> Iterator[_Member]:
    with contextlib.ExitStack() as stack:
        with _damage_named(path):
            raw = stack.enter_context(open(path, "rb"))
            file = _forward(raw, stack, path)
            # To read, it takes no more than `read`, `seek` and `tell`.
            fileobj = cast(BinaryIO, file)
            archive = stack.enter_context(tarfile.TarFile(fileobj=fileobj))
        while True:
            with _damage_named(path):
                info = archive.next()
            if info is None:
                break
            # The list of all members would grow and is not needed.
            archive.members = []  # type: ignore[attr-defined]  # Typeshed lacks it.
            name = _checked_name(path, info.name)
            if not (info.isfile() or info.isdir()) or info.issparse() or info.size < 0:
                raise _refusal(path, name, "a plain file", "a link, device or hole")
            read = functools.partial(_contents_in_tar, file, info)
            yield _Member(name, info.isdir(), info.size, read)
        with _damage_named(path):
            # `tarfile` takes a damaged header, too, for the end.
            if file.last != bytes(tarfile.BLOCKSIZE):
                raise EOFError("no mark of the end")
            # What gzip says of its contents comes last.
            while file.read(_AT_ONCE):
                pass


def _contents_in_tar(file: ForwardFile, info: tarfile.TarInfo) -> bytes:
    file.seek(info.offset_data)
    return file.read_data(info.size)


def _forward(
    raw: BinaryIO, stack: contextlib.ExitStack, path: pathlib.Path
) -> ForwardFile:
    packed = os.fstat(raw.fileno()).st_size
    if path.name.lower().endswith(".tar"):
        return ForwardFile(raw, packed)
    return ForwardFile(stack.enter_context(gzip.GzipFile(fileobj=raw)), _most(packed))


def _most(packed: int) -> int:
    """Returns how many bytes so many may unpack to."""
    return max(_ANY_RATIO, _LARGEST_RATIO * packed)


def _checked_name(path: pathlib.Path, name: str) -> str:
    """Returns a member's name without needless parts, if it stays in the archive."""
    if (
        name.startswith("/")
        or ".." in name.split("/")
        or re.match("[A-Za-z]:", name)
        or "\\" in name
        or "\0" in name
    ):
        raise ValueError(
            "dataset: expected names that stay in the archive, with / between folders, "
            f"in {path}; got {name!r}."
        )
    return str(pathlib.PurePosixPath(name))


def _refusal(path: pathlib.Path, name: str, expected: str, got: str) -> ValueError:
    return ValueError(
        f"dataset: expected {expected} for {name!r} in {path}, got {got}."
    )


@contextlib.contextmanager
def _damage_named(path: pathlib.Path, name: str | None = None) -> Iterator[None]:
    try:
        yield
    except (
        EOFError,
        NotImplementedError,
        RuntimeError,
        UnicodeError,
        gzip.BadGzipFile,
        struct.error,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        member = "" if name is None else f" {name!r} of"
        raise ValueError(
            f"dataset: expected to read{member} the archive {path}, which is damaged "
            f"or made to do harm ({error or type(error).__name__})."
        ) from error
