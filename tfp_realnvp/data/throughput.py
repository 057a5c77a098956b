"""How fast the images come."""

from __future__ import annotations

import time

import tensorflow as tf


def pipeline_images_per_second(
    batches: tf.data.Dataset,
    batch_size: int,
    *,
    seconds: float = 1.0,
    most: int = 200,
) -> float:
    """Returns the images per second of a pipeline that nothing waits for.

    The first batch, for which the pipeline is set up, does not count.

    Args:
      batches: `tf.data.Dataset` of batches; it is repeated if it ends.
      batch_size: Python `int`, images in each.
      seconds: Python `float`, how long to measure at most.
      most: Python `int`, of how many batches at most.
    """
    iterator = iter(batches.repeat())
    next(iterator)
    start = time.perf_counter()
    count, elapsed = 0, 0.0
    while not count or (count < most and elapsed < seconds):
        next(iterator)
        count += 1
        elapsed = time.perf_counter() - start
    return count * batch_size / elapsed
