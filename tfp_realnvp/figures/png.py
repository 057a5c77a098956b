"""Writers of PNG files: pictures, animations, and the course of a training run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from tfp_realnvp.arguments import require
from tfp_realnvp.figures.grid import checked_images
from tfp_realnvp.files import atomic_path


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes an image as a PNG file.

    Args:
      path: Path of the file; what is there stays until all is written.
      image: `uint8` array of shape [height, width, 1 or 3].

    Raises:
      ValueError: If `image` is not an 8-bit image.
    """
    (image,) = checked_images("image", np.asarray(image)[np.newaxis])
    contents = tf.io.encode_png(image).numpy()
    with atomic_path(path) as temporary:
        temporary.write_bytes(contents)


def write_animation(
    path: str | os.PathLike, frames: np.ndarray, *, milliseconds: int = 150
) -> None:
    """Writes pictures as an animated PNG that loops.

    Browsers play it, and other programs show the first frame.

    Args:
      path: Where to write it.
      frames: `uint8` array of shape [N, height, width, 1 or 3].
      milliseconds: Python `int`, how long each is shown.

    Raises:
      ValueError: If `frames` are no 8-bit pictures, or none.
    """
    frames = checked_images("frames", frames)
    if frames.shape[-1] == 1:
        frames = frames[..., 0]
    first, *others = (Image.fromarray(frame) for frame in frames)
    with atomic_path(path) as temporary:
        first.save(
            temporary,
            format="PNG",
            save_all=True,
            append_images=others,
            duration=milliseconds,
            # For ever.
            loop=0,
        )


def write_learning_curve(
    path: str | os.PathLike,
    history: Mapping[str, Sequence[float]],
    *,
    references: Mapping[str, float],
) -> None:
    """Writes a PNG of bits/dim against epochs.

    Args:
      path: Where to write it.
      history: `bits_per_dim`, `val_bits_per_dim` and, where weights are averaged,
        `val_average_bits_per_dim` after each epoch.
      references: Horizontal lines to draw, by their labels.

    Raises:
      ImportError: If matplotlib is not installed.
    """
    require("matplotlib", "the learning curve", extra="demo")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    epochs = range(1, len(history["bits_per_dim"]) + 1)
    for key, label in (
        ("bits_per_dim", "training, batch statistics"),
        ("val_bits_per_dim", "validation, running statistics"),
        ("val_average_bits_per_dim", "validation, averaged weights"),
    ):
        if key in history:
            axes.plot(epochs, history[key], marker=".", label=label)
    for style, (label, level) in zip(("--", ":"), references.items(), strict=False):
        axes.axhline(level, color="gray", linestyle=style, label=f"{label} {level:.2f}")
    scores = np.array([*history["bits_per_dim"], *history["val_bits_per_dim"]])
    # What is not finite leaves a gap in the line.
    lowest = min([8.0, *scores[np.isfinite(scores)]])
    axes.set_ylim(lowest - 0.2, max([8.2, *references.values()]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="bits / dim")
    axes.legend()
    axes.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
