"""Data sets of images in three splits, their batches, and a baseline for them."""

from __future__ import annotations

import dataclasses
import math
import time
import zlib
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int
from tfp_realnvp.choices import SPLITS
from tfp_realnvp.data.image_split import ImageSplit, pipeline

# Arbitrary numbers that keep these random streams apart from each other, and from
# that of a model with the same seed and step.
_FOR_ORDERS = 0x0DA7A0
_FOR_IMAGES = 0x0DA7A1
# Reading all 3 million LSUN bedrooms would take an hour and change nothing.
_MOST_IN_BASELINE = 50_000


@dataclasses.dataclass(frozen=True)
class ImageData:
    """A data set of images in three splits.

    Attributes:
      name: Python `str`.
      event_shape: (height, width, channels) of every image.
      train: `ImageSplit` to train on.
      validation: `ImageSplit` to watch during training.
      test: `ImageSplit` to report on.
      flips: Python `bool`, whether training images are mirrored at random.
      condition_names: Names of the classes or attributes; `None` without conditions.
      digest: Python `str`, hash of the images; `""` if unknown.

    Raises:
      ValueError: If a split has no images, only some splits have conditions, or a label
        is out of range.
    """

    name: str
    event_shape: tuple[int, int, int]
    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    flips: bool = False
    condition_names: tuple[str, ...] | None = None
    digest: str = ""

    def __post_init__(self) -> None:
        names = self.condition_names
        for part in SPLITS:
            split: ImageSplit = getattr(self, part)
            if split.count < 1:
                raise ValueError(
                    f"dataset: expected {part} images in {self.name!r}, got none."
                )
            if (split.conditions is None) != (names is None):
                raise ValueError(
                    "condition_names: expected names if all splits have conditions, "
                    f"None if no split has any; got {names} and {part} images "
                    f"{'without' if names else 'with'} conditions."
                )
            labels = split.conditions
            if names is None or labels is None or labels.ndim > 1:
                continue
            bad = labels[(labels < 0) | (labels >= len(names))]
            if len(bad):
                raise ValueError(
                    f"conditions: expected labels from 0 to {len(names) - 1}, for "
                    f"{len(names)} classes, got {bad[0]}."
                )

    @property
    def condition_size(self) -> int | None:
        """Number of classes or attributes; `None` if there are no conditions."""
        return None if self.condition_names is None else len(self.condition_names)

    def unconditional(self) -> ImageData:
        """Returns the images without their conditions."""
        splits = {part: getattr(self, part).unconditional() for part in SPLITS}
        return dataclasses.replace(self, condition_names=None, **splits)

    def fingerprint(self) -> str:
        """Returns a short text that identifies the images and their conditions.

        It has the size of each split and a checksum, of `digest` or else of the first
        16 images of each split.
        """
        splits = self.train, self.validation, self.test
        checksum = zlib.crc32(f"{self.digest}{self.condition_names}".encode())
        for split in splits:
            if not self.digest:
                checksum = zlib.crc32(split.take(16).data, checksum)
            if split.conditions is not None:
                known = np.ascontiguousarray(split.conditions)
                checksum = zlib.crc32(known.data, checksum)
        counts = " + ".join(str(split.count) for split in splits)
        return f"{counts} images of {self.name}, checksum {checksum:08x}"

    def steps_per_epoch(self, batch_size: int) -> int:
        """Returns the number of full batches in an epoch.

        Raises:
          ValueError: If `batch_size` is not between 1 and `train.count`.
        """
        which = f", the number of training images in {self.name!r}"
        check_int("batch_size", batch_size, most=self.train.count, unit=which)
        return self.train.count // batch_size

    def training_batches(
        self,
        batch_size: int,
        *,
        seed: int,
        first_step: int = 0,
        worker: int = 0,
        num_workers: int = 1,
    ) -> tf.data.Dataset:
        """Returns endless shuffled batches, each a function of its number alone.

        Every epoch has a new order and leaves out the images that do not fill a batch.
        Images are mirrored at random if `flips` is set. A batch is the same wherever
        the pipeline starts, and the parts of all workers together are the batch of a
        single one. With conditions, batches are pairs (images, conditions).

        Args:
          batch_size: Python `int`, of all workers together.
          seed: Python `int`.
          first_step: Python `int`, number of the first batch, from 0 over all epochs.
          worker: Python `int`, number of this worker, from 0.
          num_workers: Python `int`. Their parts differ in size by at most one image.

        Raises:
          ValueError: If an argument is out of range.
        """
        steps = self.steps_per_epoch(batch_size)
        check_int("first_step", first_step, least=0)
        check_int("num_workers", num_workers, most=batch_size)
        check_int("worker", worker, least=0, most=num_workers - 1)
        start, end = (batch_size * i // num_workers for i in (worker, worker + 1))
        read = self.train.examples()

        def batch(step: tf.Tensor) -> Any:
            epoch, place = step // steps, step % steps * batch_size
            places = place + tf.range(start, end, dtype=tf.int64)
            numbers = _shuffle(
                places, self.train.count, _random_bits([3], _FOR_ORDERS, seed, epoch)
            )
            # Drawn for all workers, so that images do not depend on how many there are.
            bits = _random_bits([batch_size, 3], _FOR_IMAGES, seed, step)[start:end]
            images, *conditions = tf.nest.flatten(read(numbers, bits[:, :2]))
            if self.flips:
                images = _mirror(images, bits[:, 2] < 0)
            return (images, *conditions) if conditions else images

        return pipeline(tf.data.Dataset.counter(first_step), batch, "OFF")

    def validation_batches(
        self, batch_size: int, *, limit: int | None = None
    ) -> tf.data.Dataset:
        """Returns batches of the validation images, or of the first `limit`."""
        return self.validation.batches(batch_size, limit=limit)

    def test_batches(
        self, batch_size: int, *, limit: int | None = None
    ) -> tf.data.Dataset:
        """Returns batches of the test images, or of the first `limit` of them."""
        return self.test.batches(batch_size, limit=limit)


def _mirror(images: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    """Returns the images, mirrored `where` this is true."""
    # A pipeline with `tf.where` of `tf.reverse` over four axes takes ten times as long.
    count, height, width, channels = images.shape
    rows = tf.reshape(images, [count * height, width, channels])
    mirrored = tf.reshape(tf.reverse(rows, axis=[1]), images.shape)
    both = tf.concat([images, mirrored], axis=0)
    return tf.gather(both, tf.range(count) + tf.where(where, count, 0))


def _random_bits(
    shape: list[int], purpose: int, seed: int, number: tf.Tensor
) -> tf.Tensor:
    """Returns random `int32`s over their whole range, a function of the arguments."""
    key = tf.constant([purpose, seed], tf.int64)
    key = tf.random.experimental.stateless_fold_in(key, number)
    return tf.random.stateless_uniform(
        shape, key, minval=None, maxval=None, dtype=tf.int32
    )


def _shuffle(places: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Returns the entries at these places of a random permutation of `range(count)`."""
    # `tf.random.experimental.index_shuffle` has only 4 rounds, after which the orders
    # of adjacent seeds are alike.
    last = tf.constant(count - 1, tf.int64)
    return tf.raw_ops.RandomIndexShuffle(
        index=places, seed=seed, max_index=last, rounds=16
    )


def gaussian_bits_per_dim(train: ImageSplit, test: ImageSplit) -> float:
    """Returns the test bits/dim of an independent Gaussian for each pixel.

    They are fitted to the first 50,000 training images. The score is the exact
    expectation over uniform dequantization noise.
    """
    mean, squares = _moments(train, min(train.count, _MOST_IN_BASELINE))
    test_mean, test_squares = _moments(test, test.count)
    # Noise that is uniform in [0, 1) shifts both means by 1/2, which cancels, and
    # adds 1/12 to the mean square distances.
    variance = squares - mean**2 + 1 / 12
    distance = test_squares - 2 * mean * test_mean + mean**2 + 1 / 12
    nats = 0.5 * (distance / variance + np.log(2 * math.pi * variance))
    return float(nats.mean() / math.log(2))


def _moments(split: ImageSplit, count: int) -> tuple[Any, Any]:
    """Returns mean and mean square of each pixel of the first `count` images."""
    total, squares = 0.0, 0.0
    images = split.unconditional().batches(1000, limit=count)
    for batch in images.as_numpy_iterator():
        batch = batch.astype(np.float64)
        total = total + batch.sum(axis=0)
        squares = squares + np.square(batch).sum(axis=0)
    return total / count, squares / count


def pipeline_images_per_second(
    batches: tf.data.Dataset, batch_size: int, *, seconds: float = 1.0, most: int = 200
) -> float:
    """Returns the speed of an input pipeline on its own."""
    iterator = iter(batches.repeat())
    # The first batch includes setting up the pipeline.
    next(iterator)
    start = time.perf_counter()
    count, elapsed = 0, 0.0
    while not count or (count < most and elapsed < seconds):
        next(iterator)
        count += 1
        elapsed = time.perf_counter() - start
    return count * batch_size / elapsed
