"""Decodes the bytes of an untrusted image file into pixels."""

from __future__ import annotations

import functools
import hashlib
import io
import os
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps

LARGEST_FILE = 2**28
# Pillow starts Ghostscript to read EPS, and cannot read the others on its own.
_NOT_READ = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"})
# Longer images are cut to their middle, so that they do not fill memory.
_LONGEST_STRIP = 4


class UnreadableImage(Exception):
    """The reason why a file cannot be decoded."""


class Decoded(NamedTuple):
    """The pixels of a file, or the reason why there are none.

    `contents` is a hash of the file's bytes, or 0 if the system could not read them.
    """

    pixels: np.ndarray
    contents: int
    damage: str | None = None


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(sorted(Image.OPEN.keys() - _NOT_READ))


def is_image_name(name: str) -> bool:
    """Returns whether the suffix of a name is that of an image."""
    suffix = os.path.splitext(name)[1].lower()
    return Image.registered_extensions().get(suffix) in _formats()


def hash_of(data: Any) -> int:
    """Returns a 64-bit hash that is the same in all processes."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def decode_file(
    read: Callable[[], bytes], image_size: int, channels: int, crop: Any
) -> Decoded:
    """Returns the scaled pixels of a file, whose bytes `read` returns."""
    contents = 0
    try:
        data = read()
        contents = hash_of(data)
        image = decode_image(data, channels=channels)
        return Decoded(scaled_pixels(image, image_size, crop), contents)
    except (UnreadableImage, OSError) as error:
        empty = np.zeros([0, 0, channels], np.uint8)
        return Decoded(empty, contents, str(error))


def decode_image(contents: bytes, *, channels: int = 3) -> Image.Image:
    """Returns the image in a file of any image format that Pillow reads.

    Of an animation it is the first frame, and of 16 bits the upper 8. It is turned
    upright as EXIF says, and has no alpha channel.
    """
    try:
        if len(contents) > LARGEST_FILE:
            raise ValueError(f"expected at most {LARGEST_FILE:,} bytes")
        with Image.open(io.BytesIO(contents), formats=_formats()) as image:
            # Pillow opens PGM files of 16 bits in mode I and scales them to all 16.
            is_deep = image.mode == "I" and image.format == "PPM"
            image = ImageOps.exif_transpose(image)
        if is_deep or image.mode.startswith("I;16"):
            # Pillow's own conversion would clip them.
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if image.mode in ("I", "F"):
            raise ValueError("expected 8 or 16 bits per channel, got 32")
        image = image.convert("RGB")
    except Exception as error:
        # Damaged bytes make Pillow's readers raise errors of any class.
        reason = str(error).partition(" <_io.")[0] or type(error).__name__
        raise UnreadableImage(reason) from error
    return image if channels == 3 else image.convert("L")


def scaled_pixels(
    image: Image.Image, image_size: int, crop: Literal["center", "random", "none"]
) -> np.ndarray:
    """Returns an image scaled by averaging, of shape [height, width, channels].

    With `"random"` it is a strip to cut squares from, at most four times as long.
    """
    (width, height), side = image.size, min(image.size)
    most = {"center": side, "random": _LONGEST_STRIP * side}.get(crop)
    if most is None:
        size = (image_size, image_size)
    else:
        width, height = min(width, most), min(height, most)
        size = (round(image_size * width / side), round(image_size * height / side))
    left, top = (image.width - width) / 2, (image.height - height) / 2
    box = (left, top, left + width, top + height)
    scaled = image.resize(size, Image.Resampling.BOX, box=box)
    return np.asarray(scaled).reshape(size[1], size[0], -1)
