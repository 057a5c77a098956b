"""Images that are read once, kept in a file, and mapped into memory."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import zlib
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from tfp_realnvp.data.image_file import Decoded, hash_of
from tfp_realnvp.data.image_files import ImageFiles
from tfp_realnvp.data.progress import ProgressBar
from tfp_realnvp.files import atomic_path

_VARIABLE = "TFP_REALNVP_CACHE"
# Fewer images are decoded again each time, which takes seconds.
_FEW = 1000
# Part of the file names, so that each version reads only its own files.
_VERSION = 1
_HASHES = ("stamp", "<i8"), ("contents", "<u8"), ("pixels", "<u8")
_PLACE = ("offset", "<i8"), ("height", "<i4"), ("width", "<i4")
_RECORD = np.dtype([*_HASHES, *_PLACE, ("is_grey", "?")])


def kept_array(
    source: pathlib.Path,
    name: str,
    shape: tuple[int, ...],
    dtype: np.typing.DTypeLike,
    read: Callable[[], Iterable[np.ndarray]],
) -> np.ndarray:
    """Returns a read-only `np.memmap` of an array that is read once, in pieces.

    A file of another shape or dtype, in `source` or `TFP_REALNVP_CACHE`, is replaced.
    """
    path = source / f"{name}.npy"
    if os.environ.get(_VARIABLE):
        path = _cache_path(source, path.name)
    with contextlib.suppress(FileNotFoundError, EOFError, ValueError, SyntaxError):
        # Unlike `np.load` this opens no other format, and so never a pickle.
        kept = np.lib.format.open_memmap(path, mode="r")
        if kept.shape == shape and kept.dtype == dtype:
            return kept
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    progress, done = ProgressBar(shape[0]), 0
    print(f"Writing {path}, once; {_VARIABLE} sets its folder.", flush=True)
    # Written as a stream: a mapped file on a full disk would kill the process.
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for piece in read():
            file.write(np.ascontiguousarray(piece, dtype).data)
            done += len(piece)
            progress.update(done)
    return np.lib.format.open_memmap(path, mode="r")


class DecodedImages(NamedTuple):
    """Images, one after the other in `pixels`; `damaged` says why some have none.

    A record has hashes of the file's bytes, `contents`, and of the image, `pixels`.
    """

    names: list[str]
    records: np.ndarray
    pixels: np.ndarray
    damaged: dict[str, str]
    channels: int

    def image(self, number: int) -> np.ndarray:
        """Returns the pixels of an image, of shape [height, width, channels]."""
        record = self.records[number]
        start, height, width = (int(record[k]) for k in ("offset", "height", "width"))
        end = start + height * width * self.channels
        return self.pixels[start:end].reshape(height, width, self.channels)

    def unchanged(self, files: ImageFiles) -> np.ndarray:
        """Returns the indices of the images whose files have not changed."""
        stamps = np.array([files.stamps.get(name, 0) for name in self.names], np.int64)
        return np.flatnonzero((stamps == self.records["stamp"]) & (stamps != 0))


def decoded_images(
    source: pathlib.Path,
    files: ImageFiles,
    *,
    image_size: int,
    channels: int,
    crop: str,
) -> DecodedImages:
    """Returns all files of a folder or an archive, decoded by `decode_file`.

    The images of 1,000 files or more are kept in the folder that the environment
    variable `TFP_REALNVP_CACHE` names, or else in the user's cache folder. After that
    only files that have changed are decoded.
    """
    options = {"image_size": image_size, "channels": channels, "crop": crop}
    if len(files.stamps) < _FEW:
        memory = io.BytesIO()
        _write(memory, files, None, options)
        return _read(np.frombuffer(memory.getbuffer(), np.uint8), channels)
    name = f"{source.name}-{image_size}-{channels}-{crop}-{_VERSION}.images"
    path, kept = _cache_path(source, name), None
    # The file may be missing or damaged.
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = _read(np.memmap(path, np.uint8, "r"), channels)
        if len(kept.unchanged(files)) == len(kept.names) == len(files.stamps):
            return kept
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    print(f"Writing {path}, once; {_VARIABLE} sets its folder.", flush=True)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        _write(file, files, kept, options)
    return _read(np.memmap(path, np.uint8, "r"), channels)


def _write(
    file: BinaryIO,
    files: ImageFiles,
    kept: DecodedImages | None,
    options: dict[str, Any],
) -> None:
    """Writes pixels (copied from `kept` where possible), then records, then names."""
    names: list[str] = []
    damaged: dict[str, str] = {}
    records = np.zeros(len(files.stamps), _RECORD)
    progress = ProgressBar(len(files.stamps))

    def add(name: str, decoded: Decoded) -> None:
        pixels, record = np.ascontiguousarray(decoded.pixels), records[len(names)]
        names.append(name)
        if decoded.damage is not None:
            damaged[name] = decoded.damage
        # A file that the system could not read is tried again next time.
        record["stamp"] = files.stamps[name] if decoded.contents else 0
        record["contents"], record["pixels"] = decoded.contents, hash_of(pixels)
        record["offset"] = file.tell()
        record["height"], record["width"], _ = pixels.shape
        record["is_grey"] = np.all(pixels == pixels[..., :1])
        file.write(pixels.data)
        progress.update(len(names))

    if kept is not None:
        for number in kept.unchanged(files).tolist():
            name, contents = kept.names[number], kept.records["contents"][number]
            image = kept.image(number)
            add(name, Decoded(image, int(contents), kept.damaged.get(name)))
    done = set(names)
    left = [name for name in files.stamps if name not in done]
    for name, decoded in files.decoded(left, **options):
        add(name, decoded)
    file.write(records.tobytes())
    text = json.dumps({"names": names, "damaged": damaged}).encode()
    file.write(text + np.array([len(names), len(text)], "<i8").tobytes())


def _read(contents: np.ndarray, channels: int) -> DecodedImages:
    count, length = contents[-16:].view("<i8").tolist()
    text = contents.size - 16 - length
    end = text - count * _RECORD.itemsize
    told = json.loads(contents[text:-16].tobytes())
    names, damaged = told["names"], told["damaged"]
    records = contents[end:text].copy().view(_RECORD)
    return DecodedImages(names, records, contents[:end], damaged, channels)


def _cache_path(source: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the path of a file in the cache folder for a folder or an archive."""
    own = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = os.environ.get(_VARIABLE) or f"{own}/tfp_realnvp"
    # Several folders may hold data of the same name.
    place = zlib.crc32(os.fsencode(source.resolve()))
    path = pathlib.Path(folder).expanduser() / name
    return path.with_name(f"{path.stem}-{place:08x}{path.suffix}")
