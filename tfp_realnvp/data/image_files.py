"""Files in a folder or an archive, which may come from a stranger: listed and read."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Collection, Iterator

from tfp_realnvp.data.archive import ARCHIVE_SUFFIXES, members_of
from tfp_realnvp.data.image_file import LARGEST_FILE, UnreadableImage, is_image_name

LINKS = "links out of the folder"
_MOST_FILES = 2**22
# What programs and systems keep beside images, mostly small copies of them.
_HIDDEN = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN"})


@dataclasses.dataclass
class ImageFiles:
    """The image files of a folder or an archive.

    Attributes:
      read: Function of names that yields pairs of a name and a function that returns
        the file's bytes, or raises `UnreadableImage`.
      stamps: Python `int` that changes when the file does, by its name, a `str` with
        `/` between folders. In no order.
      left_out: Names of what is not read, by the reason why.
    """

    read: Callable[[Collection[str]], Iterator[tuple[str, Callable[[], bytes]]]]
    stamps: dict[str, int] = dataclasses.field(default_factory=dict)
    left_out: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def add(self, name: str, stamp: int) -> None:
        """Takes a plain file in, or leaves it out by its name."""
        if any(map(_is_hidden, name.split("/"))):
            self.leave_out("hidden", name)
        elif not is_image_name(name):
            self.leave_out("not images", name)
        else:
            self.stamps[name] = stamp
        if len(self.stamps) > _MOST_FILES:
            raise ValueError(f"dataset: expected at most {_MOST_FILES:,} images.")

    def leave_out(self, reason: str, name: str) -> None:
        """Notes a name that is not read."""
        self.left_out.setdefault(reason, []).append(name)

    def told_left_out(self) -> str:
        """Returns what is left out in a sentence, with an example of each kind."""
        parts = [
            f"{len(names):,} {reason} ({shown(min(names))})"
            for reason, names in sorted(self.left_out.items())
        ]
        return f"Left out: {', '.join(parts)}." if parts else ""


def list_files(path: pathlib.Path) -> ImageFiles:
    """Returns the image files of a folder or an archive.

    Raises:
      FileNotFoundError: If it is neither.
      OSError: If a folder may not be read.
      ValueError: If an archive is damaged, has a member whose name leads out of it or
        comes twice, or unpacks to too much.
    """
    if path.is_dir():
        return _list_folder(path)
    if path.is_file() and path.name.lower().endswith(ARCHIVE_SUFFIXES):
        return _list_archive(path)
    raise FileNotFoundError(
        "dataset: expected a folder of images, or an archive "
        f"({', '.join(ARCHIVE_SUFFIXES)}) of them, got {path!s}."
    )


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _HIDDEN


def shown(name: str) -> str:
    """Returns a name as it can be printed: a stranger's could talk to the terminal."""
    return name if name.isprintable() else repr(name)


def _list_folder(folder: pathlib.Path) -> ImageFiles:
    files = ImageFiles(read=functools.partial(read_folder, folder))
    root = os.path.realpath(folder)
    # Names of folders, and the places that links on the way to them have left.
    folders: list[tuple[str, tuple[str, ...]]] = [("", (root,))]
    while folders:
        above, places = folders.pop()
        with os.scandir(folder / above) as entries:
            for entry in entries:
                name, inside = above + entry.name, places
                if _is_hidden(entry.name):
                    files.leave_out("hidden", name)
                    continue
                if entry.is_symlink():
                    place = os.path.realpath(entry.path)
                    inside = (*places, place)
                    circle = any(_is_within(other, place) for other in places)
                    if circle or not _is_within(place, root):
                        files.leave_out(LINKS, name)
                        continue
                else:
                    inside = (*places[:-1], os.path.join(places[-1], entry.name))
                if entry.is_dir():
                    folders.append((f"{name}/", inside))
                elif entry.is_file():
                    files.add(name, _stamp(entry.stat()))
                else:
                    # To read from it could mean to wait for ever.
                    files.leave_out("not plain files", name)
    return files


def _is_within(place: str, folder: str) -> bool:
    return place == folder or place.startswith(os.path.join(folder, ""))


def _stamp(status: os.stat_result) -> int:
    # Python hashes whole numbers alike in all processes.
    return hash((status.st_size, status.st_mtime_ns, status.st_ctime_ns))


def read_folder(
    folder: pathlib.Path, names: Collection[str]
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yields names and functions that read the files, as `ImageFiles.read` does."""
    for name in names:
        yield name, functools.partial(_read_file, folder / name)


def _read_file(path: pathlib.Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(LARGEST_FILE + 1)


def _list_archive(path: pathlib.Path) -> ImageFiles:
    files = ImageFiles(read=functools.partial(_read_archive, path))
    stamp, seen = _stamp(path.stat()), set()
    for member in members_of(path):
        if not member.is_file:
            files.leave_out("links and devices", member.name)
        elif member.name in seen:
            raise ValueError(
                f"dataset: expected one file of a name in {path}, got two of "
                f"{member.name!r}."
            )
        else:
            seen.add(member.name)
            files.add(member.name, stamp)
    return files


def _read_archive(
    path: pathlib.Path, names: Collection[str]
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    wanted = frozenset(names)
    for member in members_of(path):
        if member.name in wanted:
            # Now, for it is read from its beginning to its end.
            try:
                yield member.name, functools.partial(bytes, member.read())
            except UnreadableImage as error:
                yield member.name, functools.partial(_fail, error)


def _fail(error: Exception) -> bytes:
    raise error
