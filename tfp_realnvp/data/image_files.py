"""Lists, reads and decodes untrusted image files in folders and archives."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import functools
import glob
import gzip
import itertools
import os
import pathlib
import stat
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from tfp_realnvp.data.image_file import (
    LARGEST_FILE,
    Decoded,
    decode_file,
    is_image_name,
)

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
LINKS = "links out of the folder"
# Folders that systems create beside images, mostly for thumbnails.
_HIDDEN = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN"})
# An archive may unpack to this many bytes, or to this many times its own size.
_ANY_SIZE, _LARGEST_RATIO = 2**28, 200
_LARGEST_HEADER = 2**20
# Pairs of a file's name and a function that returns its bytes.
_Files = Iterator[tuple[str, Callable[[], bytes]]]


@dataclasses.dataclass
class ImageFiles:
    """The image files in a folder or an archive; names have `/` between folders."""

    # Yields the files with the given names, in any order.
    read: Callable[[Collection[str]], _Files]
    # For each name a number that changes when the file changes.
    stamps: dict[str, int] = dataclasses.field(default_factory=dict)
    # Names of the files that are not read, by reason.
    left_out: dict[str, list[str]] = dataclasses.field(
        default_factory=lambda: collections.defaultdict(list)
    )

    def add(self, name: str, stamp: int) -> None:
        """Adds a plain file, or leaves it out if hidden or not named like an image."""
        if any(map(_is_hidden, name.split("/"))):
            self.left_out["hidden"].append(name)
        elif not is_image_name(name):
            self.left_out["not images"].append(name)
        else:
            self.stamps[name] = stamp

    def told_left_out(self) -> str:
        """Returns a sentence on what is left out, with an example for each reason."""
        parts = [
            f"{len(names):,} {reason} ({shown(min(names))})"
            for reason, names in sorted(self.left_out.items())
        ]
        return f"Left out: {', '.join(parts)}." if parts else ""

    def decoded(
        self, names: Collection[str], **options: Any
    ) -> Iterator[tuple[str, Decoded]]:
        """Yields names and the results of `decode_file`, run in several threads."""
        threads = min(16, os.cpu_count() or 1)
        decode = functools.partial(decode_file, **options)
        read = iter(self.read(names))
        with (
            concurrent.futures.ThreadPoolExecutor(threads) as pool,
            warnings.catch_warnings(),
        ):
            # Pillow warns about large files and about metadata.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            while some := dict(itertools.islice(read, 8 * threads)):
                yield from zip(some, pool.map(decode, some.values()), strict=True)


def shown(name: str) -> str:
    """Returns a name that is safe to print: it could hold control characters."""
    return name if name.isprintable() else repr(name)


def list_files(path: pathlib.Path) -> ImageFiles:
    """Returns the image files of a folder or an archive."""
    if path.is_dir():
        return _list_folder(path)
    if path.is_file() and path.name.lower().endswith(ARCHIVE_SUFFIXES):
        return _list_archive(path)
    raise FileNotFoundError(
        "dataset: expected a folder of images, or an archive "
        f"({', '.join(ARCHIVE_SUFFIXES)}) of them, got {path!s}."
    )


def find_images(paths: Iterable[str | os.PathLike]) -> dict[str, ImageFiles]:
    """Returns image files by their folder or archive, single images under `""`.

    A path is that of a folder, an archive, an image, or a text file (`.txt`) with the
    path of an image on each line; or a glob pattern of these.
    """
    files = ImageFiles(functools.partial(_read_folder, pathlib.Path()))
    found = {"": files}
    for path in itertools.chain.from_iterable(map(_expanded, paths)):
        named = [path]
        if path.is_dir() or path.name.lower().endswith(ARCHIVE_SUFFIXES):
            named, found[str(path)] = [], list_files(path)
        elif path.suffix.lower() == ".txt":
            lines = path.read_text(encoding="utf-8-sig").split("\n")
            named = [pathlib.Path(s.strip()).expanduser() for s in lines if s.strip()]
        for image in named:
            if not image.is_file():
                where = "" if image == path else f" in {shown(str(path))}"
                raise FileNotFoundError(
                    f"paths: expected an image{where}, got {shown(str(image))}."
                )
            # Whatever its name, reading it will show whether it is an image.
            files.stamps[str(image)] = 0
    for place, listed in found.items():
        if listed.left_out:
            print(f"{shown(place)}: {listed.told_left_out()}", flush=True)
    if not any(listed.stamps for listed in found.values()):
        told = ", ".join(shown(os.fspath(p)) for p in paths)
        raise FileNotFoundError(f"paths: expected images, got none in {told}.")
    return found


def read_images(
    found: Mapping[str, ImageFiles], **options: Any
) -> Iterator[tuple[str, Decoded]]:
    """Decodes what `find_images` found; yields names and results of `decode_file`."""
    for place, files in found.items():
        for name, decoded in files.decoded(sorted(files.stamps), **options):
            yield (f"{place}/{name}" if place else name), decoded


def _expanded(given: str | os.PathLike) -> list[pathlib.Path]:
    name = os.path.expanduser(os.fspath(given))
    # A shell turns an unset variable into "", which as a path would be ".".
    matches = [name] if os.path.exists(name) else glob.glob(name, recursive=True)
    if not matches:
        raise FileNotFoundError(
            "paths: expected a folder, an archive, images, or a .txt file that lists "
            f"them, got {shown(os.fspath(given))}, which matches no file."
        )
    return [pathlib.Path(match) for match in sorted(matches)]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _HIDDEN


def _list_folder(folder: pathlib.Path) -> ImageFiles:
    files = ImageFiles(functools.partial(_read_folder, folder))
    root = os.path.realpath(folder)
    # Folders to visit, each with the real paths of itself and of all above it.
    folders = [("", frozenset([root]))]
    while folders:
        above, inside = folders.pop()
        with os.scandir(folder / above) as entries:
            for entry in entries:
                name, place, is_folder = above + entry.name, root, entry.is_dir()
                if is_folder or entry.is_symlink():
                    place = os.path.realpath(entry.path)
                is_circle = is_folder and place in inside
                if _is_hidden(entry.name):
                    files.left_out["hidden"].append(name)
                elif is_circle or not pathlib.Path(place).is_relative_to(root):
                    files.left_out[LINKS].append(name)
                elif is_folder:
                    folders.append((f"{name}/", inside | {place}))
                elif entry.is_file():
                    files.add(name, _stamp(entry.stat()))
                else:
                    # Reading a pipe or a device could block for ever.
                    files.left_out["not plain files"].append(name)
    return files


def _stamp(status: os.stat_result) -> int:
    # The hash of integers, unlike that of text, is the same in all processes.
    return hash((status.st_size, status.st_mtime_ns, status.st_ctime_ns))


def _read_folder(folder: pathlib.Path, names: Collection[str]) -> _Files:
    def read(path: pathlib.Path) -> bytes:
        with open(path, "rb") as file:
            return file.read(LARGEST_FILE + 1)

    return ((name, functools.partial(read, folder / name)) for name in names)


def _list_archive(path: pathlib.Path) -> ImageFiles:
    files = ImageFiles(functools.partial(_read_archive, path))
    stamp = _stamp(path.stat())
    for name, contents in _members(path):
        if contents is None:
            files.left_out["links and devices"].append(name)
        elif name in files.stamps:
            raise ValueError(
                f"dataset: expected distinct names in {path}, got two of {name!r}."
            )
        else:
            files.add(name, stamp)
    return files


def _read_archive(path: pathlib.Path, names: Collection[str]) -> _Files:
    wanted = frozenset(names)
    for name, contents in _members(path, wanted):
        if name in wanted:
            yield name, functools.partial(bytes, contents or b"")


def _members(
    path: pathlib.Path, wanted: Collection[str] = ()
) -> Iterator[tuple[str, bytes | None]]:
    """Yields names and contents: `None` for links and devices, b"" if not `wanted`."""
    members = _of_zip if path.name.lower().endswith(".zip") else _of_tar
    total, most = 0, max(_ANY_SIZE, _LARGEST_RATIO * path.stat().st_size)
    try:
        for name, size, is_file, open_file in members(path):
            total += size
            parts = [part for part in name.split("/") if part not in ("", ".")]
            if name.startswith("/") or ".." in parts or "\\" in name:
                # Folders determine splits and classes, so they must be clear.
                raise ValueError(f"a path that leaves it or contains a \\: {name}")
            if total > most:
                raise ValueError(f"more than {most:,} bytes when unpacked, in {name}")
            contents = b"" if is_file else None
            name = "/".join(parts)
            if is_file and name in wanted:
                with open_file() as file:
                    contents = file.read(LARGEST_FILE + 1)
            yield name, contents
    except Exception as error:
        # Damaged bytes make the readers raise errors of any class.
        raise ValueError(
            f"dataset: expected a readable archive {path}, got "
            f"{shown(str(error) or type(error).__name__)}."
        ) from error


# Name, size, whether it is a plain file, and a function that opens it.
_Member = tuple[str, int, bool, Callable[[], Any]]


def _of_zip(path: pathlib.Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                is_file = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
                opened = functools.partial(archive.open, info)
                yield info.filename, info.file_size, is_file, opened


def _of_tar(path: pathlib.Path) -> Iterator[_Member]:
    opened: Any = open if path.name.lower().endswith(".tar") else gzip.open
    with (
        opened(path, "rb") as file,
        # A stream only goes forward: otherwise a header could lead back to itself.
        tarfile.open(fileobj=file, mode="r|", tarinfo=_Header) as archive,
    ):
        while (info := archive.next()) is not None:
            # The list of members is not needed and would grow.
            archive.members = []  # type: ignore[attr-defined]  # Typeshed lacks it.
            if not info.isdir():
                opened = functools.partial(archive.extractfile, info)
                yield info.name, info.size, info.isfile(), opened
        # At the end gzip compares its checksum.
        file.read(2**20)


class _Header(tarfile.TarInfo):
    """A header that raises if it is damaged; tarfile would take it for the end."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Any:
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error
        # A negative size leads back; the contents of these types go into memory.
        if info.size < 0 or (info.type in b"LKxgX" and info.size > _LARGEST_HEADER):
            raise tarfile.ReadError(f"a header of {info.size} bytes")
        return info
