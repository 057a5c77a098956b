"""One image file, which may come from a stranger: its name, its size, its pixels."""

from __future__ import annotations

import pathlib
import struct

import numpy as np
import tensorflow as tf

LARGEST_FILE = 2**28
# As many pixels as fill the largest file with three bytes each; Pillow, too, takes an
# image of more for an attack.
LARGEST_IMAGE = LARGEST_FILE // 3
# The smaller side is scaled to a size of the user's, and the other grows with it.
_LONGEST_STRIP = 100
# Programs that write progressive JPEG make about ten, and each costs a pass over all
# pixels, which a file of a few bytes for each can ask for without end.
_MOST_SCANS = 100
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})


def is_image_name(name: str) -> bool:
    """Returns whether a file of that name is taken for a PNG, JPEG or BMP image."""
    file = pathlib.PurePosixPath(name)
    # macOS keeps notes about `a.png` in `._a.png`.
    return file.suffix.lower() in _SUFFIXES and not file.name.startswith("._")


def check_sides(name: str, height: int, width: int) -> None:
    """Refuses an image by its sides, before memory is spent on it.

    Args:
      name: Python `str`, what to call it.
      height: Python `int`, in pixels.
      width: Python `int`, in pixels.

    Raises:
      ValueError: If a side is not positive, there are more than 89 million pixels, or
        one side is more than 100 times as long as the other.
    """
    if min(height, width) < 1:
        raise ValueError(
            f"dataset: {name} is no image that can be read: expected positive sides, "
            f"got {width} x {height} pixels."
        )
    if height * width > LARGEST_IMAGE:
        raise ValueError(
            f"dataset: expected at most {LARGEST_IMAGE:,} pixels in {name}, got "
            f"{width} x {height}."
        )
    if max(height, width) > _LONGEST_STRIP * min(height, width):
        raise ValueError(
            f"dataset: expected no side more than {_LONGEST_STRIP} times the other in "
            f"{name}, got {width} x {height} pixels."
        )


def decode_image_file(name: str, contents: bytes) -> tf.Tensor:
    """Returns the pixels of a PNG, JPEG or BMP image.

    The format is told by the contents. Alpha is left out, grey becomes three equal
    channels, of 16 bits the upper 8 are taken. No orientation in EXIF is followed.

    Args:
      name: Python `str`, what to call it in errors.
      contents: Python `bytes`, the whole file.

    Returns:
      `uint8` tensor of shape [height, width, 3].

    Raises:
      ValueError: If it is none of the three, or damaged, or `check_sides` refuses it.
    """
    try:
        height, width = _sides(contents)
        check_sides(name, height, width)
        if contents.startswith(b"BM") and _bits_per_pixel(contents) == 8:
            return _decode_palette(contents)
        return tf.io.decode_image(contents, channels=3, expand_animations=False)
    except (_Unreadable, tf.errors.OpError) as error:
        reason = getattr(error, "message", str(error))
        reason = reason.rpartition("}} ")[-1].partition(" [Op:")[0]
        raise ValueError(
            f"dataset: {name} is no image that can be read: expected a whole PNG, JPEG "
            f"or BMP file, got {len(contents)} bytes ({reason})."
        ) from error


class _Unreadable(Exception):
    """What is wrong with a file."""


def _sides(contents: bytes) -> tuple[int, int]:
    """Returns height and width as the header has them, without decoding."""
    if contents.startswith(b"\x89PNG\r\n\x1a\n"):
        if contents[12:16] != b"IHDR" or len(contents) < 24:
            raise _Unreadable("PNG without a header")
        width, height = struct.unpack_from(">II", contents, 16)
        return height, width
    if contents.startswith(b"\xff\xd8\xff"):
        if contents.count(b"\xff\xda") > _MOST_SCANS:
            raise _Unreadable(f"JPEG of more than {_MOST_SCANS} scans")
        height, width, _ = tf.io.extract_jpeg_shape(contents).numpy().tolist()
        return height, width
    if contents.startswith(b"BM"):
        return _sides_of_bmp(contents)
    raise _Unreadable("the first bytes are of no such file")


def _sides_of_bmp(contents: bytes) -> tuple[int, int]:
    """Returns height and width, of a kind of BMP that TensorFlow reads rightly."""
    if len(contents) < 54:
        raise _Unreadable("BMP without a header")
    header, width, height = struct.unpack_from("<Iii", contents, 14)
    bits, compression = (
        _bits_per_pixel(contents),
        *struct.unpack_from("<I", contents, 30),
    )
    # 3 is for colours in places of its own, which are mostly the usual ones.
    usual = compression == 3 and contents[54:66] == bytes.fromhex(
        "0000ff0000ff0000ff000000"
    )
    if header < 40 or bits not in (8, 24, 32) or not (compression == 0 or usual):
        raise _Unreadable("BMP other than of 8, 24 or 32 bits, not compressed")
    # Rows from the top are announced by a negative height.
    return abs(height), width


def _bits_per_pixel(contents: bytes) -> int:
    return struct.unpack_from("<H", contents, 28)[0]


def _decode_palette(contents: bytes) -> tf.Tensor:
    """Returns a BMP's colours, where TensorFlow takes their numbers for grey."""
    image = tf.io.decode_image(contents, channels=3, expand_animations=False)
    numbers = tf.cast(image[..., 0], tf.int32)
    start = 14 + struct.unpack_from("<I", contents, 14)[0]
    end = struct.unpack_from("<I", contents, 10)[0]
    end = start + (min(end - start, 4 * 256) // 4 * 4 if end > start else 0)
    colours = np.array(list(contents[start:end]), np.uint8).reshape(-1, 4)[:, 2::-1]
    if tf.reduce_max(numbers) >= len(colours):
        raise _Unreadable("BMP with colours that its palette lacks")
    return tf.gather(colours, numbers)
