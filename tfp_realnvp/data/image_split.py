"""Images by index."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int, checked_array, shortened

_LARGEST_VALIDATION = 1000


@dataclasses.dataclass(frozen=True)
class ImageSplit:
    """Images by index, which may be stored or made on demand.

    Attributes:
      count: Python `int`, number of images.
      images: Function of indices (`int64`, shape `[n]`, from 0 to `count - 1`) and
        seeds (`int32`, shape `[n, 2]`) that returns the `n` images as `uint8`, eagerly
        or in a graph. All that is random about an image depends on its seed alone.
      conditions: Labels, `int32` of shape `[count]`, or attributes, `bool` of shape
        `[count, K]`; `None` for an unconditional flow.

    Raises:
      ValueError: If there is not one condition for each image.
    """

    count: int
    images: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    conditions: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.conditions is None:
            return
        conditions = checked_array(
            "conditions", self.conditions, kinds="biuf", expected="labels or attributes"
        )
        if conditions.ndim not in (1, 2) or len(conditions) != self.count:
            raise ValueError(
                f"conditions: expected one for each of {self.count} images, got "
                f"{shortened(self.conditions)}."
            )

    @classmethod
    def from_array(
        cls, array: np.ndarray, conditions: np.ndarray | None = None
    ) -> ImageSplit:
        """Returns the images of an array.

        Args:
          array: `uint8` array of shape [count, height, width, channels]. An `np.memmap`
            stays on disk.
          conditions: As for `ImageSplit`.

        Raises:
          ValueError: If the array has another dtype or rank.
        """
        is_mapped = isinstance(array, np.memmap)
        array = checked_array("array", array, expected="a uint8 array of images")
        if array.ndim != 4 or array.dtype != np.uint8:
            raise ValueError(
                "array: expected uint8 of shape (count, height, width, channels), got "
                f"{array.dtype} of shape {array.shape}."
            )

        def mapped(numbers: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
            return _from_numpy(array.__getitem__, [numbers], array.shape[1:])

        if is_mapped:
            return cls(len(array), mapped, conditions)
        pixels = _on_cpu(array)
        return cls(
            len(array), lambda numbers, seeds: tf.gather(pixels, numbers), conditions
        )

    @classmethod
    def from_function(
        cls,
        count: int,
        image: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        conditions: np.ndarray | None = None,
    ) -> ImageSplit:
        """Returns images that are made on demand.

        Args:
          count: Python `int`, number of images.
          image: Function of an index and a seed (`int32`, shape `[2]`) that returns
            one `uint8` image.
          conditions: As for `ImageSplit`.
        """

        def images(numbers: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
            pairs = numbers, seeds
            return tf.map_fn(lambda p: image(*p), pairs, fn_output_signature=tf.uint8)

        return cls(count, images, conditions)

    def unconditional(self) -> ImageSplit:
        """Returns the images without their conditions."""
        return dataclasses.replace(self, conditions=None)

    def select(self, numbers: np.ndarray) -> ImageSplit:
        """Returns the images at these indices, renumbered from 0."""
        chosen = _on_cpu(numbers, tf.int64)
        return ImageSplit(
            len(numbers),
            lambda i, seeds: self.images(tf.gather(chosen, i), seeds),
            None if self.conditions is None else self.conditions[numbers],
        )

    def take_out(self, count: int | None = None) -> tuple[ImageSplit, ImageSplit]:
        """Takes out images for validation; returns the rest and those taken out.

        They are always the same, spread evenly since neighbours are often alike.

        Args:
          count: Python `int`, how many; `None` is a tenth, at least 1, at most 1,000.

        Raises:
          ValueError: If `count` is below 1 or leaves no image.
        """
        if count is None:
            count = max(1, min(self.count // 10, _LARGEST_VALIDATION))
        check_int("count", count, most=self.count - 1)
        taken = np.arange(count) * self.count // count
        rest = np.delete(np.arange(self.count), taken)
        return self.select(rest), self.select(taken)

    def examples(self) -> Callable[[tf.Tensor, tf.Tensor], Any]:
        """Returns `images`, or a function that returns pairs with conditions."""
        if self.conditions is None:
            return self.images
        conditions = _on_cpu(self.conditions)
        return lambda numbers, seeds: (
            self.images(numbers, seeds),
            tf.gather(conditions, numbers),
        )

    def batches(self, batch_size: int, *, limit: int | None = None) -> tf.data.Dataset:
        """Returns one pass in order; with conditions, of pairs (images, conditions).

        Args:
          batch_size: Python `int`; the last batch may be smaller.
          limit: Python `int`, only the first images; `None` is all of them.
        """
        check_int("batch_size", batch_size)
        if limit is not None:
            check_int("limit", limit)
        read = self.examples()

        def batch(numbers: tf.Tensor) -> Any:
            seeds = tf.stack([numbers, tf.zeros_like(numbers)], axis=1)
            return read(numbers, tf.cast(seeds, tf.int32))

        count = self.count if limit is None else min(limit, self.count)
        return pipeline(tf.data.Dataset.range(count).batch(batch_size), batch, "DATA")

    def take(self, count: int) -> np.ndarray:
        """Returns the first `count` images, or all if there are fewer, as `uint8`."""
        batches = self.unconditional().batches(1000, limit=count)
        return np.concatenate(list(batches.as_numpy_iterator()))

    def take_conditions(self, count: int) -> np.ndarray | None:
        """Returns the conditions of the images that `take` returns, or `None`."""
        return None if self.conditions is None else self.conditions[:count]


def pipeline(
    numbers: tf.data.Dataset, batch: Callable[[tf.Tensor], Any], sharding: str
) -> tf.data.Dataset:
    """Returns what `batch` makes of each element of `numbers`, in their order."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = getattr(
        tf.data.experimental.AutoShardPolicy, sharding
    )
    return (
        numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
        .with_options(options)
    )


def random_squares(
    read: Callable[[int], np.ndarray], count: int, event_shape: tuple[int, int, int]
) -> ImageSplit:
    """Returns squares, at random places, of the images that `read` returns."""
    size, _, channels = event_shape

    def cut(numbers: np.ndarray, places: np.ndarray) -> np.ndarray:
        squares = np.empty([len(numbers), *event_shape], np.uint8)
        for square, number, place in zip(squares, numbers, places, strict=True):
            image = read(number)
            room = np.subtract(image.shape[:2], size)
            top, left = (place.astype(float) * (room + 1)).astype(int)
            square[:] = image[top : top + size, left : left + size, :channels]
        return squares

    def images(numbers: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        places = tf.map_fn(
            lambda seed: tf.random.stateless_uniform([2], seed),
            seeds,
            fn_output_signature=tf.float32,
        )
        return _from_numpy(cut, [numbers, places], event_shape)

    return ImageSplit(count, images)


def _on_cpu(array: np.ndarray, dtype: tf.DType | None = None) -> tf.Tensor:
    # Pipelines run on the CPU. Their graph only refers to an eager tensor; an array it
    # would copy, with a limit of 2 GB.
    with tf.device("CPU:0"):
        return tf.constant(array, dtype)


def _from_numpy(
    read: Callable[..., np.ndarray], inputs: list[tf.Tensor], shape: tuple[int, ...]
) -> tf.Tensor:
    # One call for a whole batch: calls hold Python's lock, which Pillow releases for
    # other batches while it decodes.
    images = tf.numpy_function(read, inputs, tf.uint8, stateful=False)
    return tf.ensure_shape(images, [inputs[0].shape[0], *shape])
