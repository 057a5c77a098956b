"""Animated PNG files, which browsers play and other programs show the start of."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tfp_realnvp.files import atomic_path

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def write_animation(
    path: str | os.PathLike, frames: np.ndarray, *, milliseconds: int = 150
) -> None:
    """Writes pictures as an animated PNG that loops.

    Args:
      path: Where to write it.
      frames: `uint8` array of shape [N, height, width, 1 or 3].
      milliseconds: Python `int`, how long each is shown.

    Raises:
      ValueError: If `frames` are no pictures, or none.

    #### References

    Portable Network Graphics Specification, Third Edition. W3C, 2025.
    """
    if frames.ndim != 4 or frames.dtype != np.uint8 or len(frames) == 0:
        raise ValueError(
            "frames: expected uint8 of shape (N, height, width, channels) with N > 0, "
            f"got {frames.dtype} of shape {frames.shape}."
        )
    height, width = frames.shape[1:3]
    # The number of plays, 0, is endless.
    parts = [_chunk(b"acTL", struct.pack(">II", len(frames), 0))]
    numbers = iter(range(2 * len(frames)))
    for i, frame in enumerate(frames):
        header, pixels = _header_and_pixels(frame)
        control = (next(numbers), width, height, 0, 0, milliseconds, 1000, 0, 0)
        parts.append(_chunk(b"fcTL", struct.pack(">IIIIIHHBB", *control)))
        if i == 0:
            # The first is the picture of programs that know no animations.
            parts.insert(0, _chunk(b"IHDR", header))
            parts.append(_chunk(b"IDAT", pixels))
        else:
            parts.append(_chunk(b"fdAT", struct.pack(">I", next(numbers)) + pixels))
    with atomic_path(path) as temporary:
        temporary.write_bytes(_SIGNATURE + b"".join([*parts, _chunk(b"IEND", b"")]))


def _header_and_pixels(frame: np.ndarray) -> tuple[bytes, bytes]:
    chunks = list(_chunks(tf.io.encode_png(frame).numpy()))
    header = next(data for kind, data in chunks if kind == b"IHDR")
    return header, b"".join(data for kind, data in chunks if kind == b"IDAT")


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields type and data of each chunk of a PNG file."""
    place = len(_SIGNATURE)
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place : place + 8])
        yield kind, png[place + 8 : place + 8 + length]
        # A checksum of 4 bytes follows the data.
        place += length + 12


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
