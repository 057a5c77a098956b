"""8-bit images: from pixels, compared, and many of them in one picture."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfp_realnvp.arguments import check_int

_RED = (220, 30, 30)
_INK, _HEADING = 60, 28
_LARGEST, _SMALLEST = 20, 9
_GUTTER = 16


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Returns real-valued pixels as the 8-bit pixels they are, plus noise.

    Args:
      pixels: Array of any shape; what is outside of [0, 256) becomes 0 or 255.

    Returns:
      `uint8` array of the same shape.

    Raises:
      ValueError: If one of them is NaN.
    """
    count = int(np.isnan(pixels).sum())
    if count:
        raise ValueError(f"pixels: expected numbers, got NaN in {count} places.")
    return np.clip(np.floor(pixels), 0, 255).astype(np.uint8)


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the peak signal-to-noise ratio of images, in dB.

    ```none
    psnr = 10 log10(255**2 / mean((a - b)**2))
    ```

    Args:
      a: `uint8` array of shape [N, height, width, channels].
      b: `uint8` array of the same shape.

    Returns:
      `float64` array of shape [N], infinite for images that are equal.

    Raises:
      ValueError: If these are no 8-bit images of one shape.

    #### Example

    ```python
    >>> import numpy as np
    >>> from tfp_realnvp.figures import psnr
    >>> black = np.zeros([1, 8, 8, 1], np.uint8)
    >>> psnr(black, black + 255).tolist(), psnr(black, black).tolist()
    ([0.0], [inf])

    ```
    """
    a, b = checked_images("a, b", a), checked_images("a, b", b)
    if a.shape != b.shape:
        raise ValueError(f"a, b: expected one shape, got {a.shape} and {b.shape}.")
    error = np.square(a.astype(np.float64) - b).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / error)


def checked_images(name: str, images: np.ndarray) -> np.ndarray:
    """Returns images as an array; raises `ValueError` unless they are 8-bit ones."""
    images = np.asarray(images)
    if images.ndim != 4 or images.size == 0 or images.dtype != np.uint8:
        expected = "shape (N, height, width, channels) with N > 0, of uint8"
        got = f"{images.dtype} of shape {images.shape}"
        raise ValueError(f"{name}: expected {expected}; got {got}.")
    return images


def enlargement(images: np.ndarray, *, least: int = 64) -> int:
    """Returns the `scale` at which small images come close to a height of `least`."""
    return max(1, least // images.shape[1])


def image_grid(
    images: np.ndarray,
    *,
    columns: int,
    scale: int | None = 1,
    gap: int = 1,
    marked: Collection[int] = (),
) -> np.ndarray:
    """Returns the images side by side, row after row.

    Args:
      images: `uint8` array of shape [N, height, width, channels].
      columns: Python `int`, images in a row.
      scale: Python `int`; each pixel becomes a square of this side. `None` enlarges
        small images until they are seen well.
      gap: Python `int`, width of the white lines between images, in pixels of the
        result.
      marked: Numbers of images to draw a red border on; the picture has colours then.

    Returns:
      `uint8` array of shape [grid_height, grid_width, channels].

    Raises:
      ValueError: If `images` is not a batch of 8-bit images, or `columns` or `scale`
        is not positive.
    """
    images = checked_images("images", images)
    scale = enlargement(images) if scale is None else scale
    check_int("columns", columns)
    check_int("scale", scale)
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    if len(marked):
        images = _with_borders(images, marked)
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    height, width = height + gap, width + gap
    grid = np.full([rows * height, columns * width, channels], 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * height, i % columns * width
        grid[top : top + height - gap, left : left + width - gap] = image
    return grid[: rows * height - gap, : columns * width - gap]


def _with_borders(images: np.ndarray, marked: Collection[int]) -> np.ndarray:
    images = np.repeat(images, 3 // images.shape[-1], axis=-1)
    width = max(1, min(images.shape[1:3]) // 24)
    for i in marked:
        inside = images[i, width:-width, width:-width].copy()
        images[i] = _RED
        images[i, width:-width, width:-width] = inside
    return images


def samples_beside_data(
    data: np.ndarray,
    samples: np.ndarray,
    *,
    columns: int = 8,
    headings: Sequence[str] = (),
) -> np.ndarray:
    """Returns one picture: a block of data left, a block of samples right (Fig. 5).

    Args:
      data: `uint8` array of shape [N, height, width, channels].
      samples: `uint8` array of the same shape.
      columns: Python `int`, images in a row of each block.
      headings: What to write above the columns, and above both blocks what they are;
        nothing if it is empty.

    Raises:
      ValueError: If these are no 8-bit images of one shape, or `columns` is not
        positive.
    """
    data = checked_images("data", data)
    shape = np.shape(samples)
    if shape != data.shape:
        raise ValueError(
            f"samples: expected the shape of data, {data.shape}, got {shape}."
        )
    scale = enlargement(data)
    # What is drawn large, and up to its edges, would run together.
    gap = max(1, scale // 2)
    blocks = []
    for title, images in (("test images", data), ("samples", samples)):
        block = image_grid(images, columns=columns, scale=scale, gap=gap)
        if headings:
            block = with_headings(with_headings(block, headings), [title])
        blocks.append(block)
    return side_by_side(blocks)


def side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Returns pictures in one, their upper edges aligned, with white between them."""
    height = max(map(len, pictures))
    padded = []
    for i, picture in enumerate(pictures):
        margins = [(0, height - len(picture)), (_GUTTER * (i > 0), 0), (0, 0)]
        padded.append(np.pad(picture, margins, constant_values=255))
    return np.concatenate(padded, axis=1)


def with_headings(picture: np.ndarray, headings: Sequence[str]) -> np.ndarray:
    """Returns a picture with a line of words above columns of one width.

    They are made smaller where they would not fit, and then cut off.
    """
    line = Image.new("L", (picture.shape[1], _HEADING), 255)
    draw, width = ImageDraw.Draw(line), picture.shape[1] / len(headings)
    font = ImageFont.load_default(size=_LARGEST)
    longest = max(draw.textlength(text, font) for text in headings)
    size = _LARGEST * min(1.0, 0.95 * width / max(longest, 1))
    font = ImageFont.load_default(size=max(_SMALLEST, size))
    for column, text in enumerate(headings):
        while len(text) > 1 and draw.textlength(text, font) > width:
            text = text[:-1]
        middle = (column + 0.5) * width, _HEADING / 2
        draw.text(middle, text, _INK, font, anchor="mm")
    words = np.asarray(line)[..., np.newaxis].repeat(picture.shape[2], axis=2)
    return np.concatenate([words, picture])
