"""One image file, which may come from a stranger: from its bytes to pixels."""

from __future__ import annotations

import functools
import io
import os
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

LARGEST_FILE = 2**28
# Pillow reads EPS by starting Ghostscript, and the others not at all on its own.
_NOT_READ = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"})
# Programs that write progressive JPEG make about ten scans, and each costs a pass over
# all pixels, which a file of a few bytes for each can ask for without end.
_MOST_SCANS = 100
# Of a longer image the middle is kept, so that it does not fill memory when scaled.
_LONGEST_STRIP = 4


class UnreadableImage(Exception):
    """What is wrong with a file."""


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(sorted(Image.OPEN.keys() - _NOT_READ))


@functools.cache
def _suffixes() -> frozenset[str]:
    known = Image.registered_extensions()
    return frozenset(s for s, kind in known.items() if kind in _formats())


def is_image_name(name: str) -> bool:
    """Returns whether a file of that name is taken for an image."""
    return os.path.splitext(name)[1].lower() in _suffixes()


def decode_image(contents: bytes, *, channels: int = 3) -> Image.Image:
    """Returns the image in a file of any still format that Pillow reads.

    The format is told by the contents. Of an animation the first frame is taken, and
    the EXIF orientation is applied. Alpha is left out; of 16 bits the upper 8 are
    taken.

    Args:
      contents: Python `bytes`, the whole file.
      channels: Python `int`, 3 for colours or 1 for grey.

    Returns:
      Image of mode `"RGB"` or `"L"`.

    Raises:
      UnreadableImage: If it is damaged, or too large.
    """
    if len(contents) > LARGEST_FILE:
        raise UnreadableImage(f"expected at most {LARGEST_FILE:,} bytes")
    try:
        with Image.open(io.BytesIO(contents), formats=_formats()) as image:
            _check(image, contents)
            image.load()
            # A turned copy does not know its format.
            image = ImageOps.exif_transpose(_of_eight_bits(image)).convert("RGB")
    except UnreadableImage:
        raise
    except Exception as error:
        # Pillow's readers raise whatever comes of the bytes they find.
        reason = str(error).partition(" <_io.")[0] or type(error).__name__
        raise UnreadableImage(reason) from error
    return image if channels == 3 else image.convert("L")


def scaled_pixels(
    image: Image.Image, image_size: int, crop: Literal["center", "random", "none"]
) -> np.ndarray:
    """Returns an image scaled by averaging, for squares of `image_size`.

    Args:
      image: What `decode_image` returns.
      image_size: Python `int`, side of the squares.
      crop: `"center"`, the central square; `"random"`, a strip whose smaller side is
        `image_size`, at most four times as long, to cut squares from; or `"none"`, the
        whole image, its sides scaled apart.

    Returns:
      `uint8` array of shape [height, width, channels].
    """
    width, height = image.size
    side, most = min(width, height), {"center": 1, "random": _LONGEST_STRIP}.get(crop)
    kept = [
        length if most is None else min(length, most * side)
        for length in (width, height)
    ]
    size = [
        image_size
        if most is None
        else max(image_size, round(image_size * length / side))
        for length in kept
    ]
    left, top = (width - kept[0]) / 2, (height - kept[1]) / 2
    box = left, top, left + kept[0], top + kept[1]
    scaled = image.resize((size[0], size[1]), Image.Resampling.BOX, box=box)
    return np.asarray(scaled).reshape(size[1], size[0], -1)


def _check(image: Image.Image, contents: bytes) -> None:
    """Refuses an image by its header, before memory is spent on it."""
    most, count = Image.MAX_IMAGE_PIXELS, image.width * image.height
    if most is not None and count > most:
        # Pillow itself refuses those of twice as many.
        raise UnreadableImage(
            f"expected at most {most:,} pixels, got {image.width} x {image.height}"
        )
    is_jpeg = image.format in ("JPEG", "MPO")
    if is_jpeg and contents.count(b"\xff\xda") > _MOST_SCANS:
        raise UnreadableImage(f"JPEG of more than {_MOST_SCANS} scans")


def _of_eight_bits(image: Image.Image) -> Image.Image:
    """Returns the upper 8 bits of 16, which Pillow would clip."""
    # Pillow has no other mode for PGM files of 16 bits, which it scales to all 16.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        upper = (np.asarray(image) >> 8).astype(np.uint8)
        grey = Image.fromarray(upper)
        # Where the orientation is.
        grey.info.update(image.info)
        grey.getexif().update(image.getexif())
        return grey
    if image.mode in ("I", "F"):
        raise UnreadableImage("expected 8 or 16 bits a channel, got 32")
    return image
