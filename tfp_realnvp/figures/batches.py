"""Going through many images a few at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

import keras
import numpy as np

from tfp_realnvp.arguments import check_int

# Seconds before a bar is shown: quick work needs none.
_PATIENCE = 3.0


def map_batches(
    function: Callable[..., np.ndarray],
    *arrays: np.ndarray | None,
    batch_size: int,
) -> np.ndarray:
    """Returns what `function` makes of the arrays, computed batch by batch.

    A progress bar is shown if it takes longer than a few seconds.

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
    # It counts the time from here on, and prints nothing before its first update.
    bar = keras.utils.Progbar(count, unit_name="image", interval=1.0)
    begin, is_shown = time.monotonic(), False
    for start in range(0, count, batch_size):
        part = slice(start, start + batch_size)
        results.append(function(*(None if a is None else a[part] for a in arrays)))
        done = min(start + batch_size, count)
        is_late = time.monotonic() - begin > _PATIENCE
        is_shown = is_shown or (is_late and done < count)
        if is_shown:
            bar.update(done)
    return np.concatenate(results)
