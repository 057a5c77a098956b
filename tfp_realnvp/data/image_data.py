"""What every data set here looks like, and batches of it."""

from __future__ import annotations

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class ImageData:
    """A data set of images in two splits.

    Attributes:
      name: Python `str`.
      event_shape: (height, width, channels) of every image.
      train: `tf.data.Dataset` of `uint8` images, one pass in a fixed order or, where
        images are random crops, one epoch's worth of them.
      test: `tf.data.Dataset` of `uint8` images, always the same.
      num_train: Python `int`, length of `train`.
      num_test: Python `int`, length of `test`.
      flips: Python `bool`, whether a mirrored image is as good as the original.
    """

    name: str
    event_shape: tuple[int, int, int]
    train: tf.data.Dataset
    test: tf.data.Dataset
    num_train: int
    num_test: int
    flips: bool = False

    def __post_init__(self):
        for split, count in (("train", self.num_train), ("test", self.num_test)):
            if count < 1:
                raise ValueError(
                    f"dataset: expected images in {self.name!r}, got none to {split}."
                )

    def training_batches(self, batch_size: int, *, seed: int) -> tf.data.Dataset:
        """Returns one epoch of shuffled batches, in another order every epoch.

        Images are mirrored at random where `flips` says so. The last batch is left
        out if it is not full.

        Raises:
          ValueError: If `batch_size` is not between 1 and `num_train`.
        """
        if not 1 <= batch_size <= self.num_train:
            raise ValueError(
                f"batch_size: expected 1 to {self.num_train}, the number of training "
                f"images in {self.name!r}; got {batch_size}."
            )
        images = self.train.shuffle(min(self.num_train, 50_000), seed=seed)
        if self.flips:
            numbers = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
            images = tf.data.Dataset.zip(images, numbers).map(
                _maybe_flip, num_parallel_calls=tf.data.AUTOTUNE
            )
        batches = images.batch(batch_size, drop_remainder=True)
        return batches.prefetch(tf.data.AUTOTUNE)

    def test_batches(
        self, batch_size: int, *, limit: int | None = None
    ) -> tf.data.Dataset:
        """Returns batches of the test images, or of the first `limit` of them."""
        images = self.test if limit is None else self.test.take(limit)
        return images.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _maybe_flip(image: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    # `Dataset.random` numbers the low bits no worse than the high ones.
    return tf.cond(
        tf.equal(number % 2, 0), lambda: image, lambda: tf.reverse(image, axis=[1])
    )
