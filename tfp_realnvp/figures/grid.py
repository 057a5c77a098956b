"""Many images in one."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from tfp_realnvp.arguments import check_int, check_path, checked_array, shortened
from tfp_realnvp.files import atomic_path
from tfp_realnvp.machine import check_fits

_RED = (220, 30, 30)
_INK, _HEADING = 60, 28
_LARGEST, _SMALLEST = 20, 9


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Returns real-valued pixels as the 8-bit pixels they are, plus noise.

    Args:
      pixels: Array of any shape; what is outside of [0, 256) becomes 0 or 255.

    Returns:
      `uint8` array of the same shape.

    Raises:
      ValueError: If one of them is NaN.
    """
    pixels = checked_array("pixels", pixels)
    if pixels.dtype.kind == "f" and np.isnan(pixels).any():
        raise ValueError(
            "pixels: expected numbers, got NaN in "
            f"{int(np.isnan(pixels).sum())} places."
        )
    return np.clip(np.floor(pixels), 0, 255).astype(np.uint8)


def checked_pictures(
    name: str, value: Any, *, channels: Collection[int] = ()
) -> np.ndarray:
    """Returns a batch of 8-bit pictures as an array.

    Args:
      name: Python `str`, of the argument.
      value: `uint8` array of shape [N, height, width, channels].
      channels: How many there may be; empty is any number.

    Raises:
      ValueError: If it is none, or empty.
    """
    array = checked_array(name, value, expected="a uint8 array")
    of_channels = array.shape[-1:]
    fits = array.ndim == 4 and array.size > 0 and array.dtype == np.uint8
    if not fits or (channels and of_channels[0] not in channels):
        last = " or ".join(map(str, channels)) if channels else "channels"
        raise ValueError(
            f"{name}: expected shape (N, height, width, {last}) with N > 0, of uint8; "
            f"got {array.dtype} of shape {array.shape}."
        )
    return array


def enlargement(images: np.ndarray, *, least: int = 64) -> int:
    """Returns the `scale` at which a person can see what is on small images.

    Args:
      images: Array of shape [N, height, width, channels].
      least: Python `int`, height of an image to come close to.
    """
    return max(1, least // images.shape[1])


def image_grid(
    images: np.ndarray,
    *,
    columns: int,
    scale: int = 1,
    gap: int = 1,
    marked: Collection[int] = (),
) -> np.ndarray:
    """Returns the images side by side, row after row.

    Args:
      images: `uint8` array of shape [N, height, width, channels].
      columns: Python `int`, images in a row.
      scale: Python `int`; each pixel becomes a square of this side.
      gap: Python `int`, width of the white lines between images, in pixels of the
        result.
      marked: Numbers of images to draw a red border on; the picture has colours then.

    Returns:
      `uint8` array of shape [grid_height, grid_width, channels].

    Raises:
      ValueError: If `images` is not a batch of images, or empty, if a number is out of
        range, or the picture would not fit in memory.
    """
    images = checked_pictures("images", images)
    check_int("columns", columns)
    check_int("scale", scale)
    check_int("gap", gap, least=0)
    marked = _checked_marks(marked, images)
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    pixels = (height * scale + gap) * rows * (width * scale + gap) * columns
    largest = max(("columns", columns), ("scale", scale), ("gap", gap), key=_second)
    check_fits(*largest, 2 * pixels * max(3, channels), "pictures")
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    if len(marked):
        images = _with_borders(images, marked)
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    grid = np.full(
        [rows * (height + gap) - gap, columns * (width + gap) - gap, channels],
        255,
        np.uint8,
    )
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        grid[top : top + height, left : left + width] = image
    return grid


def _second(pair: tuple[str, int]) -> int:
    return pair[1]


def _checked_marks(marked: Collection[int], images: np.ndarray) -> Collection[int]:
    if not isinstance(marked, Collection) or isinstance(marked, (str, bytes)):
        raise ValueError(
            f"marked: expected numbers of images, got {shortened(marked)}."
        )
    for number in marked:
        check_int("marked", number, least=0, most=len(images) - 1)
    if len(marked) and images.shape[-1] not in (1, 3):
        raise ValueError(
            "marked: expected none for images of "
            f"{images.shape[-1]} channels, which have no red; got {len(marked)}."
        )
    return marked


def _with_borders(images: np.ndarray, marked: Collection[int]) -> np.ndarray:
    images = np.repeat(images, 3 // images.shape[-1], axis=-1)
    width = max(1, min(images.shape[1:3]) // 24)
    for i in marked:
        inside = images[i, width:-width, width:-width].copy()
        images[i] = _RED
        images[i, width:-width, width:-width] = inside
    return images


def with_headings(picture: np.ndarray, headings: Sequence[str]) -> np.ndarray:
    """Returns a picture with a line of words above columns of one width.

    Args:
      picture: `uint8` array of shape [height, width, 1 or 3].
      headings: Sequence of Python `str`, one for each column. They are made smaller
        where they would not fit, and then cut off.

    Returns:
      `uint8` array of shape [height + 28, width, channels].
    """
    line = Image.new("L", (picture.shape[1], _HEADING), 255)
    draw, width = ImageDraw.Draw(line), picture.shape[1] / len(headings)
    longest = max(draw.textlength(text, _font(_LARGEST)) for text in headings)
    size = _LARGEST * min(1.0, 0.95 * width / max(longest, 1))
    font = _font(max(_SMALLEST, size))
    for column, text in enumerate(headings):
        while len(text) > 1 and draw.textlength(text, font) > width:
            text = text[:-1]
        middle = (column + 0.5) * width, _HEADING / 2
        draw.text(middle, text, _INK, font, anchor="mm")
    words = np.asarray(line)[..., np.newaxis].repeat(picture.shape[2], axis=2)
    return np.concatenate([words, picture])


def _font(size: float) -> Any:
    return ImageFont.load_default(size=size)


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes an image as a PNG file.

    Args:
      path: Path of the file; what is there stays until all is written.
      image: `uint8` array of shape [height, width, 1 or 3].

    Raises:
      ValueError: If the image is none.
    """
    check_path("path", path)
    image = checked_array("image", image, expected="a uint8 array")
    fits = image.ndim == 3 and image.size > 0 and image.dtype == np.uint8
    if not fits or image.shape[-1] not in (1, 3):
        raise ValueError(
            "image: expected uint8 of shape (height, width, 1 or 3), got "
            f"{image.dtype} of shape {image.shape}."
        )
    contents = tf.io.encode_png(image).numpy()
    with atomic_path(path) as temporary:
        temporary.write_bytes(contents)
