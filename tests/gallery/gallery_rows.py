"""Rows for tests of the page."""

import numpy as np

from tfp_realnvp.gallery import Row

FRAMES = 7


def row(title="digits", caption="5.660 bits/dim", **pictures):
    """A row of plain pictures; the number of a frame can be told from its pixels."""
    rng = np.random.default_rng(0)
    frames = 30 * np.arange(FRAMES, dtype=np.uint8)
    filled = {
        "examples": rng.integers(0, 256, [60, 60, 3], np.uint8),
        "samples": rng.integers(0, 256, [60, 60, 1], np.uint8),
        "samples_2x": rng.integers(0, 256, [60, 60, 3], np.uint8),
        "samples_10x": rng.integers(0, 256, [600, 600, 3], np.uint8),
        "information_loss": rng.integers(0, 256, [90, 60, 3], np.uint8),
        "manifold": np.tile(frames[:, None, None, None], [1, 40, 60, 3]),
    }
    return Row(title, caption, **{**filled, **pictures})
