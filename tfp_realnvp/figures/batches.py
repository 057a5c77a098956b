"""Going through many images a few at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfp_realnvp.arguments import check_int
from tfp_realnvp.data.progress import ProgressBar


def map_batches(
    function: Callable[..., np.ndarray],
    *arrays: np.ndarray | None,
    batch_size: int,
) -> np.ndarray:
    """Returns what `function` makes of the arrays, computed batch by batch.

    What takes long says how far it is.

    Args:
      function: Takes batches of all arrays, returns an array with one entry for each
        of theirs.
      *arrays: Arrays of equal length, at least 1, the first of which is not `None`;
        of others that are, `function` is given `None`.
      batch_size: Python `int`; the last batch may be smaller.

    Raises:
      ValueError: If `batch_size` is not positive.
    """
    check_int("batch_size", batch_size)
    count = next(len(a) for a in arrays if a is not None)
    results = []
    progress = ProgressBar(count)
    for start in range(0, count, batch_size):
        part = slice(start, start + batch_size)
        results.append(function(*(None if a is None else a[part] for a in arrays)))
        progress.update(min(start + batch_size, count))
    return np.concatenate(results)
