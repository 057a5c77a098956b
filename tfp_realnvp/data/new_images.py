"""Images to score, wherever they lie: read a few at a time, never all at once."""

from __future__ import annotations

import functools
import glob
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

from tfp_realnvp.data.archive import ARCHIVE_SUFFIXES
from tfp_realnvp.data.image_cache import Decoded, decode_file, in_parallel
from tfp_realnvp.data.image_file import UnreadableImage
from tfp_realnvp.data.image_files import ImageFiles, list_files, read_folder, shown


def find_images(paths: Iterable[str | os.PathLike]) -> dict[str, ImageFiles]:
    """Returns the image files at some places, by folder or archive.

    Args:
      paths: Folders of images, archives of them, image files, text files (`.txt`) with
        the path of an image on each line, or patterns of any of these.

    Returns:
      `dict` of `ImageFiles`; those of single files are under `""`.

    Raises:
      FileNotFoundError: If there is nothing at a place, or no image at all.
      ValueError: If an archive is damaged, or made to do harm.
    """
    files = ImageFiles(read=functools.partial(read_folder, pathlib.Path()))
    found = {"": files}
    for path in (p for given in paths for p in _expanded(given)):
        if path.is_dir() or path.name.lower().endswith(ARCHIVE_SUFFIXES):
            found[str(path)] = list_files(path)
        elif path.suffix.lower() == ".txt":
            for line in path.read_text(encoding="utf-8-sig").splitlines():
                if line.strip():
                    _add(files, pathlib.Path(line.strip()).expanduser())
        else:
            _add(files, path)
    for place, listed in found.items():
        if listed.left_out:
            print(f"{shown(place)}: {listed.told_left_out()}", flush=True)
    if not any(listed.stamps for listed in found.values()):
        told = ", ".join(shown(os.fspath(p)) for p in paths)
        raise FileNotFoundError(f"paths: expected images, got none in {told}.")
    return found


def read_images(
    found: Mapping[str, ImageFiles],
    *,
    image_size: int,
    channels: int,
    crop: Literal["center", "none"],
) -> Iterator[tuple[str, Decoded]]:
    """Yields the name of each file, and what became of it.

    Args:
      found: What `find_images` returned.
      image_size: As for `scaled_pixels`.
      channels: As for `decode_image`.
      crop: As for `scaled_pixels`.
    """

    def decode(read: Callable[[], bytes]) -> Decoded:
        return decode_file(functools.partial(_read, read), image_size, channels, crop)

    for place, files in found.items():
        for name, decoded in in_parallel(decode, files.read(sorted(files.stamps))):
            yield (f"{place}/{name}" if place else name), decoded


def _expanded(given: str | os.PathLike) -> list[pathlib.Path]:
    name = os.path.expanduser(os.fspath(given))
    # A shell leaves "" of a variable that is not set, and a path would be ".".
    if name and os.path.exists(name):
        return [pathlib.Path(name)]
    matches = sorted(glob.glob(name, recursive=True))
    if not matches:
        raise FileNotFoundError(
            "paths: expected a folder, an archive, images, or a .txt file that lists "
            f"them, got {shown(os.fspath(given))}, where nothing is."
        )
    return [pathlib.Path(match) for match in matches]


def _add(files: ImageFiles, path: pathlib.Path) -> None:
    # What is named is an image whatever its name; that it is none, reading it says.
    if not path.is_file():
        raise FileNotFoundError(
            f"paths: expected an image, got {shown(str(path))}, which is no file."
        )
    files.stamps[str(path)] = 0


def _read(read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except OSError as error:
        # One file of many: the others may be read.
        raise UnreadableImage(error.strerror or str(error)) from error
