"""Images that are reached by number."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

_LARGEST_VALIDATION = 1000


@dataclasses.dataclass(frozen=True)
class ImageSplit:
    """Images that are reached by number, and need not exist before.

    Attributes:
      count: Python `int`, how many there are.
      images: Function of numbers (`int64`, shape `[n]`, from 0 to `count - 1`) and
        seeds (`int32`, shape `[n, 2]`) that returns the `n` images as `uint8`, in a
        graph or outside. What is random about an image is a function of its seed.
    """

    count: int
    images: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

    @classmethod
    def from_array(cls, array: np.ndarray) -> ImageSplit:
        """Returns the `uint8` images of an array in memory."""
        # Pipelines run on the CPU. An eager tensor is held by their graph, where an
        # array would become a copy, of 2 GB at most.
        with tf.device("CPU:0"):
            pixels = tf.constant(array)
        return cls(len(array), lambda numbers, seeds: tf.gather(pixels, numbers))

    @classmethod
    def from_function(
        cls, count: int, image: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    ) -> ImageSplit:
        """Returns images that are drawn when they are asked for.

        Args:
          count: Python `int`, how many there are.
          image: Function of a number and a seed (`int32`, shape `[2]`) that returns
            one `uint8` image.
        """

        def images(numbers: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
            return tf.map_fn(
                lambda pair: image(*pair),
                (numbers, seeds),
                fn_output_signature=tf.uint8,
            )

        return cls(count, images)

    def select(self, numbers: np.ndarray) -> ImageSplit:
        """Returns the images of these numbers, renumbered from 0."""
        with tf.device("CPU:0"):
            chosen = tf.constant(numbers, tf.int64)
        return ImageSplit(
            len(numbers), lambda i, seeds: self.images(tf.gather(chosen, i), seeds)
        )

    def take_out(self, count: int | None = None) -> tuple[ImageSplit, ImageSplit]:
        """Returns the images without some for validation, and those.

        They are spread evenly, since neighbours are often alike, and always the same.

        Args:
          count: Python `int`, how many to take out; `None` is a tenth, but from 1 to
            1,000.

        Raises:
          ValueError: If `count` is not between 1 and one less than there are.
        """
        if count is None:
            count = max(1, min(self.count // 10, _LARGEST_VALIDATION))
        if not 1 <= count < self.count:
            raise ValueError(
                f"count: expected 1 to {self.count - 1}, to leave some of "
                f"{self.count} images; got {count}."
            )
        taken = np.arange(count) * self.count // count
        rest = np.delete(np.arange(self.count), taken)
        return self.select(rest), self.select(taken)

    def batches(self, batch_size: int, *, limit: int | None = None) -> tf.data.Dataset:
        """Returns one pass in order, always of the same images.

        Args:
          batch_size: Python `int`; the last batch may be smaller.
          limit: Python `int`, how many images there are at most.
        """

        def images(numbers: tf.Tensor) -> tf.Tensor:
            seeds = tf.stack([numbers, tf.zeros_like(numbers)], axis=1)
            return self.images(numbers, tf.cast(seeds, tf.int32))

        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        count = self.count if limit is None else min(limit, self.count)
        return (
            tf.data.Dataset.range(count)
            .batch(batch_size)
            .map(images, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .prefetch(tf.data.AUTOTUNE)
            .with_options(options)
        )

    def take(self, count: int) -> np.ndarray:
        """Returns the first `count` images, or all if there are fewer, as `uint8`."""
        return np.concatenate(list(self.batches(1000, limit=count).as_numpy_iterator()))
