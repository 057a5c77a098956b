"""Rows for tests of the page."""

import numpy as np

from tfp_realnvp.figures import Figure
from tfp_realnvp.gallery import Row

FRAMES = 7


def row(title="digits", caption="5.660 bits/dim", **changes):
    """A row of plain pictures; the number of a frame can be told from its pixels."""
    rng = np.random.default_rng(0)
    frames = 30 * np.arange(FRAMES, dtype=np.uint8)
    pictures = {
        "samples": rng.integers(0, 256, [60, 120, 1], np.uint8),
        "extrapolation_2x": rng.integers(0, 256, [60, 60, 3], np.uint8),
        "extrapolation_10x": rng.integers(0, 256, [600, 600, 3], np.uint8),
        "compression": rng.integers(0, 256, [90, 60, 3], np.uint8),
        "animation": np.tile(frames[:, None, None, None], [1, 40, 60, 3]),
    }
    figures = {k: Figure(k, v, "described", {}) for k, v in pictures.items()}
    return Row(title, caption, {**figures, **changes})
