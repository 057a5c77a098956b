"""Makes 8-bit images from pixels, compares, arranges and writes them as PNG."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from tfp_realnvp.arguments import check_int, require
from tfp_realnvp.files import atomic_path

_RED = (220, 30, 30)
_INK, _HEADING = 60, 28
_LARGEST, _SMALLEST = 20, 9
_GUTTER = 16
_CURVES = {
    "bits_per_dim": "training, batch statistics",
    "val_bits_per_dim": "validation, running statistics",
    "val_average_bits_per_dim": "validation, averaged weights",
}


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Returns real-valued pixels as 8-bit ones, by taking the integer part.

    Args:
      pixels: Array of any shape; values outside of [0, 256) become 0 or 255.

    Returns:
      `uint8` array of the same shape.

    Raises:
      ValueError: If a pixel is NaN.
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
      `float64` array of shape [N], infinite for equal images.

    Raises:
      ValueError: If `a` and `b` are not 8-bit images of the same shape.

    #### Example

    ```python
    >>> import numpy as np
    >>> from tfp_realnvp.figures import psnr
    >>> black = np.zeros([1, 8, 8, 1], np.uint8)
    >>> psnr(black, black + 255).tolist(), psnr(black, black).tolist()
    ([0.0], [inf])

    ```
    """
    a, b = _checked("a, b", a), _checked("a, b", b)
    if a.shape != b.shape:
        raise ValueError(f"a, b: expected equal shapes, got {a.shape} and {b.shape}.")
    error = np.square(a.astype(np.float64) - b).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / error)


def enlargement(images: np.ndarray, *, least: int = 64) -> int:
    """Returns the `scale` that brings small images close to a height of `least`."""
    return max(1, least // images.shape[1])


def image_grid(
    images: np.ndarray,
    *,
    columns: int,
    scale: int | None = 1,
    gap: int = 1,
    marked: Collection[int] = (),
) -> np.ndarray:
    """Returns one picture of all images, side by side and row after row.

    Args:
      images: `uint8` array of shape [N, height, width, channels].
      columns: Python `int`, images in a row.
      scale: Python `int`; each pixel becomes a square of this side. `None` enlarges
        small images until they are easy to see.
      gap: Python `int`, width of the white lines between images, in pixels of the
        result.
      marked: Indices of images that get a red border, which makes the picture RGB.

    Returns:
      `uint8` array of shape [grid_height, grid_width, channels].

    Raises:
      ValueError: If `images` are not 8-bit images, or a number is not positive.
    """
    images = _checked("images", images)
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
    """Returns one picture: data on the left, samples on the right (Fig. 5).

    Args:
      data: `uint8` array of shape [N, height, width, channels].
      samples: `uint8` array of the same shape.
      columns: Python `int`, images in a row on each side.
      headings: Words above the columns; each side then gets a title, too.

    Raises:
      ValueError: If these are not 8-bit images of one shape, or `columns` is below 1.
    """
    data = _checked("data", data)
    shape = np.shape(samples)
    if shape != data.shape:
        raise ValueError(
            f"samples: expected the shape of data, {data.shape}, got {shape}."
        )
    scale = enlargement(data)
    # Without a wider gap, large images would run together.
    gap = max(1, scale // 2)
    blocks = []
    for title, images in (("test images", data), ("samples", samples)):
        block = image_grid(images, columns=columns, scale=scale, gap=gap)
        if headings:
            block = with_headings(with_headings(block, headings), [title])
        blocks.append(block)
    return side_by_side(blocks)


def side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Returns one picture of several, aligned at the top, with white between them."""
    height = max(map(len, pictures))
    padded = []
    for i, picture in enumerate(pictures):
        margins = [(0, height - len(picture)), (_GUTTER * (i > 0), 0), (0, 0)]
        padded.append(np.pad(picture, margins, constant_values=255))
    return np.concatenate(padded, axis=1)


def with_headings(picture: np.ndarray, headings: Sequence[str]) -> np.ndarray:
    """Returns a picture with a line of words above columns of equal width.

    Words that would not fit are made smaller, then cut off.
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


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes an image as a PNG file.

    Args:
      path: Path of the file, which is replaced when all is written.
      image: `uint8` array of shape [height, width, 1 or 3].

    Raises:
      ValueError: If `image` is not an 8-bit image.
    """
    (image,) = _checked("image", np.asarray(image)[np.newaxis])
    contents = tf.io.encode_png(image).numpy()
    with atomic_path(path) as temporary:
        temporary.write_bytes(contents)


def write_animation(
    path: str | os.PathLike, frames: np.ndarray, *, milliseconds: int = 150
) -> None:
    """Writes pictures as an animated PNG that loops.

    Browsers play it; other programs show the first frame.

    Args:
      path: As for `write_png`.
      frames: `uint8` array of shape [N, height, width, 1 or 3].
      milliseconds: Python `int`, duration of each frame.

    Raises:
      ValueError: If `frames` are not 8-bit pictures, or there are none.
    """
    frames = _checked("frames", frames)
    if frames.shape[-1] == 1:
        frames = frames[..., 0]
    first, *others = (Image.fromarray(frame) for frame in frames)
    # A loop of 0 never ends.
    options = {"append_images": others, "duration": milliseconds, "loop": 0}
    with atomic_path(path) as temporary:
        first.save(temporary, format="PNG", save_all=True, **options)


def write_learning_curve(
    path: str | os.PathLike,
    history: Mapping[str, Sequence[float]],
    *,
    references: Mapping[str, float],
) -> None:
    """Writes a PNG of bits/dim against epochs.

    Args:
      path: As for `write_png`.
      history: `bits_per_dim`, `val_bits_per_dim` and, if weights are averaged,
        `val_average_bits_per_dim` after each epoch.
      references: Levels of up to two horizontal lines, by label.

    Raises:
      ImportError: If matplotlib is not installed.
    """
    require("matplotlib", "the learning curve", extra="demo")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    epochs = range(1, len(history["bits_per_dim"]) + 1)
    for key, label in _CURVES.items():
        if key in history:
            axes.plot(epochs, history[key], marker=".", label=label)
    for style, (label, level) in zip(("--", ":"), references.items(), strict=False):
        axes.axhline(level, color="gray", linestyle=style, label=f"{label} {level:.2f}")
    scores = np.array([*history["bits_per_dim"], *history["val_bits_per_dim"]])
    # Values that are not finite leave a gap in the line.
    lowest = min([8.0, *scores[np.isfinite(scores)]])
    axes.set_ylim(lowest - 0.2, max([8.2, *references.values()]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="bits / dim")
    axes.legend()
    axes.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _checked(name: str, images: np.ndarray) -> np.ndarray:
    """Returns images as an array; raises `ValueError` unless they are 8-bit images."""
    images = np.asarray(images)
    if images.ndim != 4 or images.size == 0 or images.dtype != np.uint8:
        expected = "shape (N, height, width, channels) with N > 0, of uint8"
        got = f"{images.dtype} of shape {images.shape}"
        raise ValueError(f"{name}: expected {expected}; got {got}.")
    return images
