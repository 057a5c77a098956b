"""Independent seeds from one seed."""

from __future__ import annotations

import numpy as np


def spawn_seeds(seed: int | None, count: int) -> list[int | None]:
    """Returns `count` seeds derived from `seed`; all `None` if it is `None`."""
    if seed is None:
        return [None] * count
    return [int(s) for s in np.random.SeedSequence(seed).generate_state(count)]
