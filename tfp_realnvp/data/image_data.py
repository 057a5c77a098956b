"""What every data set here looks like, and batches of it."""

from __future__ import annotations

import dataclasses
import zlib
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import (
    check_flag,
    check_int,
    check_text,
    check_whole,
    checked_shape,
    shortened,
)
from tfp_realnvp.data.image_split import ImageSplit

# Arbitrary numbers, so that what is drawn here is not drawn again for the other
# purpose, or by a model that is seeded with the same seed and step.
_FOR_ORDERS = 0x0DA7A0
_FOR_IMAGES = 0x0DA7A1


@dataclasses.dataclass(frozen=True)
class ImageData:
    """A data set of images in three splits.

    Attributes:
      name: Python `str`.
      event_shape: (height, width, channels) of every image.
      train: `ImageSplit` to train on.
      validation: `ImageSplit` to watch during training.
      test: `ImageSplit` to report on.
      flips: Python `bool`, whether a mirrored image is as good as the original.
      condition_names: Names of the classes, if the splits have labels, or of the
        attributes, if they have those; `None` if they have no conditions.
      digest: Python `str` that is another one for other images, where that is known.

    Raises:
      ValueError: If a split has no images, conditions are there in part, or a label is
        none of the classes.
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
        check_text("name", self.name)
        expected = "three positive ints (height, width, channels)"
        shape = checked_shape("event_shape", self.event_shape, expected=expected)
        if len(shape) != 3:
            raise ValueError(f"event_shape: expected {expected}, got {shape}.")
        check_flag("flips", self.flips)
        names = self.condition_names
        if names is not None and not isinstance(names, (tuple, list)):
            raise ValueError(
                f"condition_names: expected names or None, got {shortened(names)}."
            )
        for part in ("train", "validation", "test"):
            split = getattr(self, part)
            if not isinstance(split, ImageSplit):
                raise TypeError(
                    f"{part}: expected an ImageSplit, got {shortened(split)}."
                )
            purpose = part.replace("validation", "validate")
            if split.count < 1:
                raise ValueError(
                    f"dataset: expected images in {self.name!r}, got none to {purpose}."
                )
            if (split.conditions is None) != (names is None):
                raise ValueError(
                    "condition_names: expected names if all splits have conditions and "
                    f"None if none has, got {names} and those to {purpose} "
                    f"{'without' if names else 'with'} them."
                )
            if names is not None:
                split.check_labels(len(names))

    @property
    def condition_size(self) -> int | None:
        """Number of classes or attributes; `None` if there are no conditions."""
        return None if self.condition_names is None else len(self.condition_names)

    def unconditional(self) -> ImageData:
        """Returns the images alone."""
        return dataclasses.replace(
            self,
            train=self.train.unconditional(),
            validation=self.validation.unconditional(),
            test=self.test.unconditional(),
            condition_names=None,
        )

    def fingerprint(self) -> str:
        """Returns a few words that other data, or fewer or more, do not share.

        Images are compared by their `digest`, or else by the first few of each split.
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
        check_whole("batch_size", batch_size)
        if not 1 <= batch_size <= self.train.count:
            raise ValueError(
                f"batch_size: expected 1 to {self.train.count}, the number of training "
                f"images in {self.name!r}; got {batch_size}."
            )
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
        """Returns endless shuffled batches, of which each is a function of its number.

        Every epoch has another order and leaves out the images that fill no batch; they
        are mirrored at random where `flips` says so. Batch number `s`, counted from 0
        over all epochs, is the same wherever the pipeline starts, and the workers'
        parts of it are the batch of a single worker. With conditions, batches are pairs
        (images, conditions).

        Args:
          batch_size: Python `int`, of all workers together.
          seed: Python `int`.
          first_step: Python `int`, number of the first batch.
          worker: Python `int`, number of this worker, from 0.
          num_workers: Python `int`. Their parts differ by one image at most.

        Raises:
          ValueError: If an argument is out of range.
        """
        steps = self.steps_per_epoch(batch_size)
        check_int("seed", seed, least=-(2**63))
        check_int("first_step", first_step, least=0)
        check_int("num_workers", num_workers, most=batch_size)
        check_int("worker", worker, least=0, most=num_workers - 1)
        part = slice(
            batch_size * worker // num_workers, batch_size * (worker + 1) // num_workers
        )

        read = self.train.examples()

        def batch(step: tf.Tensor) -> Any:
            epoch, place = step // steps, step % steps * batch_size
            places = place + tf.range(part.start, part.stop, dtype=tf.int64)
            numbers = _shuffle(
                places, self.train.count, _random_bits([3], _FOR_ORDERS, seed, epoch)
            )
            # The bits of all workers are drawn, so that their images are the same
            # whatever the number of workers.
            bits = _random_bits([batch_size, 3], _FOR_IMAGES, seed, step)[part]
            images, *conditions = tf.nest.flatten(read(numbers, bits[:, :2]))
            if self.flips:
                images = _mirror(images, bits[:, 2] < 0)
            return (images, *conditions) if conditions else images

        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.OFF
        )
        return (
            tf.data.Dataset.counter(first_step)
            .map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .prefetch(tf.data.AUTOTUNE)
            .with_options(options)
        )

    def training_sample(self, count: int, batch_size: int) -> tf.data.Dataset:
        """Returns batches of the first `count` training images, always the same."""
        return self.train.batches(batch_size, limit=count)

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
    # `tf.where`, and reversing an axis of four rather than three, take several times
    # as long.
    count, height, width, channels = images.shape
    rows = tf.reshape(images, [count * height, width, channels])
    mirrored = tf.reshape(tf.reverse(rows, axis=[1]), images.shape)
    both = tf.concat([images, mirrored], axis=0)
    return tf.gather(both, tf.range(count) + tf.where(where, count, 0))


def _random_bits(
    shape: list[int], purpose: int, seed: int, number: tf.Tensor
) -> tf.Tensor:
    """Returns `int32` of all values, as a function of the other arguments."""
    key = tf.constant([purpose, seed], tf.int64)
    key = tf.random.experimental.stateless_fold_in(key, number)
    return tf.random.stateless_uniform(
        shape, key, minval=None, maxval=None, dtype=tf.int32
    )


def _shuffle(places: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Returns what is at these places of a random order of `range(count)`."""
    # `tf.random.experimental.index_shuffle` is the same with 4 rounds, whose orders
    # for one seed and the next are alike.
    return tf.raw_ops.RandomIndexShuffle(
        index=places,
        seed=seed,
        max_index=tf.constant(count - 1, tf.int64),
        rounds=16,
    )
