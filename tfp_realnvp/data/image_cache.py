"""Images decoded once, in parallel, and kept in a file that is mapped into memory."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import hashlib
import io
import json
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from tfp_realnvp.data.image_file import UnreadableImage, decode_image, scaled_pixels
from tfp_realnvp.data.image_files import ImageFiles, shown
from tfp_realnvp.data.memory_mapped import cache_path, check_room
from tfp_realnvp.data.progress import ProgressBar
from tfp_realnvp.files import atomic_path
from tfp_realnvp.machine import check_fits

# So few are decoded again each time, in seconds.
_FEW = 1000
_MOST_THREADS = 16
# Part of the files' names: what is kept is read by no other version.
_VERSION = 1
_RECORD = np.dtype(
    [
        ("stamp", "<i8"),
        ("contents", "<u8"),
        ("pixels", "<u8"),
        ("offset", "<i8"),
        ("height", "<i4"),
        ("width", "<i4"),
        ("is_grey", "?"),
    ]
)


class DecodedImages(NamedTuple):
    """Images of one size, one after the other.

    Attributes:
      names: Names of the files.
      records: Structured array with what is known of each: `stamp`; `contents` and
        `pixels`, hashes of the file's bytes and of what became of them; `offset`,
        `height` and `width` of its pixels; `is_grey`, whether its channels are equal.
      pixels: `uint8` array of rank 1.
      damaged: Why an image could not be read, by its name; it has no pixels.
      channels: Python `int`, of each image.
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


def decoded_images(
    source: pathlib.Path,
    files: ImageFiles,
    *,
    image_size: int,
    channels: int,
    crop: Literal["center", "random", "none"],
) -> DecodedImages:
    """Returns the pixels of all files, of which unchanged ones are decoded only once.

    Those of 1,000 files or more are kept in the folder that the environment variable
    `TFP_REALNVP_CACHE` names, or in the user's own for caches.

    Args:
      source: Folder or archive that they are in.
      files: What `list_files` returned of it.
      image_size: As for `scaled_pixels`.
      channels: As for `decode_image`.
      crop: As for `scaled_pixels`.

    Raises:
      OSError: If a file may not be read, or what is kept not be written.
      ValueError: If the images do not fit in memory.
    """
    count = len(files.stamps)
    bytes_each = image_size**2 * channels
    check_fits("image_size", image_size, min(count, _FEW) * bytes_each, "images")

    def decode(read: Callable[[], bytes]) -> Decoded:
        return decode_file(read, image_size, channels, crop)

    if count < _FEW:
        memory = io.BytesIO()
        names, records, damaged = _write(memory, files, None, decode)
        pixels = np.frombuffer(memory.getbuffer(), np.uint8)
        return DecodedImages(names, records, pixels, damaged, channels)
    options = f"{image_size}-{channels}-{crop}-{_VERSION}"
    path = cache_path(source, f"{source.name}-{options}.images")
    kept = _load(path, channels)
    if kept is not None and _is_unchanged(files, kept):
        return kept
    with contextlib.suppress(OSError):
        # `check_room` says what to do.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_room(path, count * bytes_each)
    print(f"Writing {path}, once.", flush=True)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        names, records, damaged = _write(file, files, kept, decode)
        text = json.dumps({"names": names, "damaged": damaged}).encode()
        file.write(records.tobytes())
        file.write(text)
        file.write(np.array([len(names), len(text)], "<i8").tobytes())
    loaded = _load(path, channels)
    if loaded is None:
        raise OSError(f"dataset: expected to read {path}, which was just written.")
    return loaded


class Decoded(NamedTuple):
    """What became of a file.

    Attributes:
      pixels: `uint8` array of shape [height, width, channels], empty if damaged.
      contents: Hash of the file's bytes.
      damage: Why it could not be read, or `None`.
    """

    pixels: np.ndarray
    contents: int
    damage: str | None = None


def decode_file(
    read: Callable[[], bytes], image_size: int, channels: int, crop: Any
) -> Decoded:
    """Returns the pixels that a file, read by a function, has for a flow."""
    contents = b""
    try:
        contents = read()
        image = decode_image(contents, channels=channels)
        pixels, damage = scaled_pixels(image, image_size, crop), None
    except UnreadableImage as error:
        pixels, damage = np.zeros([0, 0, channels], np.uint8), str(error)
    return Decoded(pixels, hash_of(contents), damage)


def hash_of(data: Any) -> int:
    """Returns a hash of bytes, of 64 bits, that is the same in all processes."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _write(
    file: BinaryIO,
    files: ImageFiles,
    kept: DecodedImages | None,
    decode: Callable[[Callable[[], bytes]], Decoded],
) -> tuple[list[str], np.ndarray, dict[str, str]]:
    """Writes pixels, those that are kept as they are, and returns the rest."""
    names: list[str] = []
    damaged: dict[str, str] = {}
    records = np.zeros(len(files.stamps), _RECORD)
    progress = ProgressBar(len(files.stamps))

    def add(name: str, pixels: np.ndarray, contents: int) -> None:
        record = records[len(names)]
        names.append(name)
        record["stamp"] = files.stamps[name]
        record["contents"], record["pixels"] = contents, hash_of(pixels)
        record["offset"] = file.tell()
        record["height"], record["width"], _ = pixels.shape
        record["is_grey"] = np.all(pixels == pixels[..., :1])
        file.write(pixels.data)
        progress.update(len(names))

    if kept is not None:
        for number in _unchanged(files, kept):
            name = kept.names[number]
            if name in kept.damaged:
                damaged[name] = kept.damaged[name]
            add(name, kept.image(number), kept.records["contents"][number])
    done = set(names)
    left = [name for name in files.stamps if name not in done]
    for name, decoded in in_parallel(decode, files.read(left)):
        if decoded.damage is not None:
            damaged[name] = decoded.damage
        add(name, np.ascontiguousarray(decoded.pixels), decoded.contents)
    if len(names) < len(files.stamps):
        missing = shown(min(files.stamps.keys() - set(names)))
        raise ValueError(f"dataset: {missing} is gone while images were read.")
    return names, records, damaged


def _is_unchanged(files: ImageFiles, kept: DecodedImages) -> bool:
    same = _unchanged(files, kept)
    return len(same) == len(kept.names) == len(files.stamps)


def _unchanged(files: ImageFiles, kept: DecodedImages) -> np.ndarray:
    """Returns the numbers of what is kept of files that are as they were."""
    stamps = np.array([files.stamps.get(name, 0) for name in kept.names], np.int64)
    return np.flatnonzero(stamps == kept.records["stamp"])


def in_parallel(
    function: Callable[[Any], Any], items: Iterator[tuple[str, Any]]
) -> Iterator[tuple[str, Any]]:
    """Yields names and what the function returns of each item, in their order."""
    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    # Few wait: their files are in memory.
    waiting: collections.deque = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool, _quiet():
        for name, item in items:
            waiting.append((name, pool.submit(function, item)))
            if len(waiting) > 2 * threads:
                name, future = waiting.popleft()
                yield name, future.result()
        for name, future in waiting:
            yield name, future.result()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Pillow from warning of files that are refused, or of their metadata."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _load(path: pathlib.Path, channels: int) -> DecodedImages | None:
    """Returns what is kept in a file, or nothing if none or a damaged one is there."""
    try:
        mapped = np.memmap(path, np.uint8, "r")
        count, length = mapped[-16:].view("<i8").tolist()
        text = mapped.size - 16 - length
        records = text - count * _RECORD.itemsize
        if min(count, length, records) < 0:
            return None
        told = json.loads(mapped[text:-16].tobytes())
        found = mapped[records:text].copy().view(_RECORD)
        pixels = mapped[:records]
        if len(told["names"]) == count and (found["offset"] <= records).all():
            return DecodedImages(
                told["names"], found, pixels, told["damaged"], channels
            )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None
