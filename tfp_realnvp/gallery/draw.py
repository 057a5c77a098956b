"""Drawing a row of the gallery from a flow."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.figures import (
    conceptual_compression,
    extrapolated_samples,
    image_grid,
    kept_fractions,
    manifold_animation,
    sample_images,
)
from tfp_realnvp.gallery.row import Row

# With these numbers, images twice as large look twice as large beside the others.
_ACROSS = 6
_ACROSS_2X = 3
# Images that a row shows.
EXAMPLES = _ACROSS**2
# Down to 1/16, as on the authors' page.
_LEVELS = 5
_ON_SPHERE = 8
# Smaller images are enlarged to these sides here, rather than in the browser, which
# would enlarge the lines between them too.
_SIDE = 64
_SIDE_ON_SPHERE = 32
_GUTTER = 6


def draw_row(
    flow: tfd.Distribution,
    images: np.ndarray,
    *,
    title: str,
    caption: str,
    condition: np.ndarray | None = None,
    seed: int = 0,
    temperature: float = 1.0,
) -> Row:
    """Returns the gallery's row for a flow over pixels.

    Args:
      flow: Transformed distribution from `image_flow`.
      images: `uint8` array of shape [N, height, width, channels], images that the flow
        was not trained on. The first `EXAMPLES` are shown, or all if there are fewer.
      title: Python `str`, name of the row.
      caption: Python `str`, a line of facts.
      condition: Labels or vectors, one for each image, if the flow takes a condition.
        Samples are drawn under the same.
      seed: Python `int`, makes the row repeatable.
      temperature: Python `float`, factor on the latents of the samples.

    Raises:
      ValueError: If there are no images, or `temperature` is negative.
    """
    if len(images) == 0:
        raise ValueError("images: expected at least one, got none.")
    pictures = _Pictures(flow, images[:EXAMPLES], condition, seed, temperature)
    return Row(
        title=title,
        caption=caption,
        examples=pictures.examples(),
        samples=pictures.samples(),
        samples_2x=pictures.larger_samples(2, across=_ACROSS_2X),
        samples_10x=pictures.larger_samples(10, across=1),
        information_loss=pictures.information_loss(),
        manifold=pictures.manifold(),
    )


@dataclasses.dataclass(frozen=True)
class _Pictures:
    """The pictures of a row; attributes are arguments of `draw_row`."""

    flow: tfd.Distribution
    images: np.ndarray
    condition: np.ndarray | None
    seed: int
    temperature: float

    def examples(self) -> np.ndarray:
        return image_grid(self.images, columns=_ACROSS, scale=self._scale(_SIDE))

    def samples(self) -> np.ndarray:
        drawn = sample_images(self.flow, **self._draws(EXAMPLES))
        return image_grid(drawn, columns=_ACROSS, scale=self._scale(_SIDE))

    def larger_samples(self, factor: int, *, across: int) -> np.ndarray | str:
        try:
            drawn = extrapolated_samples(
                self.flow, factor=factor, **self._draws(across**2)
            )
        except (ValueError, tf.errors.ResourceExhaustedError) as error:
            # They do not fit into this machine's memory; the other pictures do.
            reason = getattr(error, "message", None) or str(error)
            return f"Not drawn: {reason.splitlines()[0]}"
        return image_grid(drawn, columns=across, scale=self._scale(_SIDE))

    def information_loss(self) -> np.ndarray | str:
        kept = kept_fractions(self.flow)[:_LEVELS]
        if len(kept) < 2:
            return "The flow has a single scale, and no latents coarser than others."
        # A line for each image, and as many lines as there are images in one.
        blocks = max(1, _ACROSS // len(kept))
        images = self.images[: blocks**2 * len(kept)]
        levels = conceptual_compression(
            self.flow,
            images,
            kept=kept,
            condition=self._conditions(len(images)),
            seed=self.seed,
        )
        return _side_by_side(levels, blocks, self._scale(_SIDE))

    def manifold(self) -> np.ndarray | str:
        if len(self.images) < _ON_SPHERE:
            return (
                f"It takes {_ON_SPHERE} images, and the test set has "
                f"{len(self.images)}."
            )
        frames = manifold_animation(
            self.flow,
            self.images[:_ON_SPHERE],
            condition=self._conditions(_ON_SPHERE),
            seed=self.seed,
        )
        columns, scale = frames.shape[2], self._scale(_SIDE_ON_SPHERE)
        return np.stack(
            [
                image_grid(np.concatenate(rows), columns=columns, scale=scale)
                for rows in frames
            ]
        )

    def _scale(self, side: int) -> int:
        return max(1, side // self.images.shape[2])

    def _draws(self, count: int) -> dict[str, Any]:
        """Returns the arguments of functions that draw so many samples."""
        return {
            "count": count,
            "seed": self.seed,
            "temperature": self.temperature,
            "condition": self._conditions(count),
        }

    def _conditions(self, count: int) -> np.ndarray | None:
        if self.condition is None:
            return None
        # Where there are more samples than images, each lends its condition again.
        return self.condition[np.arange(count) % len(self.images)]


def _side_by_side(levels: np.ndarray, blocks: int, scale: int) -> np.ndarray:
    """Returns blocks of lines, in each line the levels of an image."""
    kinds, count = levels.shape[:2]
    lines = -(-count // blocks)
    pictures = [
        image_grid(
            np.concatenate(levels[:, i : i + lines].swapaxes(0, 1)),
            columns=kinds,
            scale=scale,
        )
        for i in range(0, count, lines)
    ]
    height = len(pictures[0])
    padded = [
        np.pad(
            picture,
            [(0, height - len(picture)), (_GUTTER * (i > 0), 0), (0, 0)],
            constant_values=255,
        )
        for i, picture in enumerate(pictures)
    ]
    return np.concatenate(padded, axis=1)
