"""Archives of images, which may come from a stranger: read, and never unpacked."""

from __future__ import annotations

import functools
import gzip
import pathlib
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple, cast

from tfp_realnvp.data.image_file import LARGEST_FILE, UnreadableImage

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
# DEFLATE reaches 1,032, which takes a file of one byte over and over; so little does no
# harm, however small it was.
_LARGEST_RATIO, _ANY_RATIO = 200, 2**28
# Names, even those of a tar archive's extended headers, are far shorter.
_LONGEST_HEADER = 2**20
_TAR_HEADERS = b"LKxgX"
_DAMAGE = (
    EOFError,
    NotImplementedError,
    UnicodeError,
    struct.error,
    gzip.BadGzipFile,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class Member(NamedTuple):
    """What is in an archive, but for folders.

    Attributes:
      name: Python `str` with `/` between folders.
      is_file: Whether it is a plain file, and no link or device.
      size: Python `int`, as the archive has it, in bytes.
      read: Function that returns the bytes, or raises `UnreadableImage`; to be called
        before the next member is asked for.
    """

    name: str
    is_file: bool
    size: int
    read: Callable[[], bytes]


def members_of(path: pathlib.Path) -> Iterator[Member]:
    """Yields what is in a ZIP or tar archive, in its order.

    Raises:
      ValueError: If it is damaged, has a member with a name that leads out of it, or
        unpacks to too much.
    """
    of = _of_zip if path.name.lower().endswith(".zip") else _of_tar
    total, most = 0, max(_ANY_RATIO, _LARGEST_RATIO * path.stat().st_size)
    try:
        for member in of(path):
            name, total = member.name, total + member.size
            parts = name.split("/")
            if (
                name.startswith("/")
                or ".." in parts
                or not {"\\", "\0"}.isdisjoint(name)
            ):
                raise ValueError(
                    "dataset: expected names that stay in the archive, with / between "
                    f"folders, in {path}; got {name!r}."
                )
            if total > most:
                raise ValueError(
                    f"dataset: expected {path} to unpack to at most {most:,} bytes, "
                    f"got more, with {name!r}."
                )
            yield member._replace(name="/".join(p for p in parts if p not in ("", ".")))
    except _DAMAGE as error:
        raise ValueError(
            f"dataset: expected to read the archive {path}, which is damaged or made "
            f"to do harm ({error or type(error).__name__})."
        ) from error


def _of_zip(path: pathlib.Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if not info.is_dir():
                yield Member(
                    # `filename` ends before a NUL.
                    info.orig_filename,
                    kind in (0, stat.S_IFREG),
                    info.file_size,
                    functools.partial(_read_zip, archive, info),
                )


def _read_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Python's readers of the others take as much memory as they are told.
        raise UnreadableImage("expected it stored or deflated")
    try:
        with archive.open(info) as file:
            contents = file.read(LARGEST_FILE + 1)
    except (*_DAMAGE, OSError, RuntimeError) as error:
        # Encrypted files are a `RuntimeError`, and places before the beginning an
        # `OSError`.
        raise UnreadableImage(str(error)) from error
    if len(contents) < info.file_size <= LARGEST_FILE:
        raise UnreadableImage(f"{len(contents)} of {info.file_size} bytes")
    return contents


def _of_tar(path: pathlib.Path) -> Iterator[Member]:
    opened: Any = open if path.name.lower().endswith(".tar") else gzip.open
    with (
        opened(path, "rb") as file,
        # As a stream it goes only forward: a header may lead back to itself.
        tarfile.open(fileobj=file, mode="r|", tarinfo=_Header) as archive,
    ):
        while (info := archive.next()) is not None:
            # The list of all members would grow and is not needed.
            archive.members = []  # type: ignore[attr-defined]  # Typeshed lacks it.
            if not info.isdir():
                yield Member(
                    info.name,
                    info.isfile() and not info.issparse(),
                    info.size,
                    functools.partial(_read_tar, archive, info),
                )
        # What gzip says of its contents comes last.
        file.read(2**20)


def _read_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = cast(BinaryIO, archive.extractfile(info))
    try:
        return file.read(LARGEST_FILE + 1)
    except _DAMAGE as error:
        raise UnreadableImage(str(error)) from error


class _Header(tarfile.TarInfo):
    """A header that is not taken for the end where it is damaged."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Any:
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error
        if info.size < 0 or (info.type in _TAR_HEADERS and info.size > _LONGEST_HEADER):
            raise tarfile.ReadError(f"a header of {info.size} bytes")
        return info
