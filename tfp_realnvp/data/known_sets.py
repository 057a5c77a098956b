"""Digits and photographs of scikit-learn; CIFAR-10, CelebA and ImageNet of TFDS."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int, require
from tfp_realnvp.choices import SPLITS
from tfp_realnvp.data.cache import kept_array
from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.data.progress import ProgressBar

_GREY_LEVELS = 17
_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_FACE = 148
# What makes TFDS look for downloaded files in a folder of the user's.
_MANUAL_CONFIG = "tfds.download.DownloadConfig(manual_dir='FOLDER')"
_READ_AT_ONCE = 500


def load_digits() -> ImageData:
    """Returns scikit-learn's 1,797 real digits as 8 x 8 x 1 images, with their classes.

    To be modelled as 8-bit images, each of their 17 grey levels is spread evenly over
    its 256 / 17 values: the noise of the paper, at the depth these images really have.
    No density over them can then gain by finding 17 spikes.
    """
    datasets = require("sklearn.datasets", "the digits data set", extra="demo")
    bunch = datasets.load_digits()
    with tf.device("CPU:0"):
        levels = tf.constant(bunch.images[..., np.newaxis], tf.float32)

    def image(number: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        noise = tf.random.stateless_uniform([8, 8, 1], seed)
        spread = (tf.gather(levels, number) + noise) * (256 / _GREY_LEVELS)
        return tf.cast(spread, tf.uint8)

    labels = bunch.target.astype(np.int32)
    digits = ImageSplit.from_function(len(labels), image, labels)
    numbers = np.arange(len(labels))
    train, validation = digits.select(numbers[numbers % 6 > 0]).take_out()
    return ImageData(
        name="digits",
        event_shape=(8, 8, 1),
        train=train,
        validation=validation,
        test=digits.select(numbers[::6]),
        condition_names=tuple("0123456789"),
    )


def load_photos(image_size: int) -> ImageData:
    """Returns random crops of scikit-learn's two photographs, as the paper's of LSUN.

    Of 640 columns the left 400 are to train, the next 80 to validate and the right 160
    to test with. Crops to train with are new in every epoch.
    """
    datasets = require("sklearn.datasets", "the photos data set", extra="demo")
    photos = np.stack(datasets.load_sample_images().images)
    check_int("image_size", image_size, most=80)
    train, validation, test = (
        _random_crops(strip, image_size, count)
        for strip, count in zip(
            np.split(photos, [400, 480], axis=2), (4096, 256, 512), strict=True
        )
    )
    shape = (image_size, image_size, 3)
    return ImageData("photos", shape, train, validation, test, flips=True)


def _random_crops(photos: np.ndarray, size: int, count: int) -> ImageSplit:
    with tf.device("CPU:0"):
        photos = tf.constant(photos)
    height, width = photos.shape[1:3]
    limits = [photos.shape[0], height - size + 1, width - size + 1]

    def crop(number: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        uniform = tf.random.stateless_uniform([3], seed)
        which, top, left = tf.unstack(
            tf.cast(uniform * tf.constant(limits, tf.float32), tf.int32)
        )
        image = photos[which, top : top + size, left : left + size]
        return tf.ensure_shape(image, [size, size, 3])

    return ImageSplit.from_function(count, crop)


def load_cifar10(data_dir: str | os.PathLike | None) -> ImageData:
    """Returns CIFAR-10; 1,000 of its 50,000 training images are for validation."""
    train, test = (
        _in_memory(
            _prepared("cifar10", split, data_dir, advice="which downloads 163 MiB"),
            event_shape=(32, 32, 3),
            convert=tf.identity,
            condition=lambda example: tf.cast(example["label"], tf.int32),
        )
        for split in ("train", "test")
    )
    train, validation = train.take_out()
    names = tuple(_CIFAR10.split())
    return ImageData("cifar10", (32, 32, 3), train, validation, test, True, names)


def load_celeb_a(data_dir: str | os.PathLike | None, image_size: int) -> ImageData:
    """Returns CelebA, 202,599 faces in its own three splits, with their 40 attributes.

    The central 148 x 148 pixels of each are taken and scaled: of 218 rows and 178
    columns, rows 35 to 182 and columns 15 to 162. The paper's crop is "approximately
    central", and its released code takes the same columns from 5 rows further down.
    """
    check_int("image_size", image_size, most=_FACE)
    advice = (
        "which downloads 1.4 GiB from Google Drive (if that refuses, fetch the files "
        "yourself, put them into a FOLDER and write "
        f"download_and_prepare(download_config={_MANUAL_CONFIG}))"
    )
    opened = [_prepared("celeb_a", s, data_dir, advice=advice) for s in SPLITS]
    names = sorted(opened[0].element_spec["attributes"])
    shape = (image_size, image_size, 3)

    def convert(image: tf.Tensor) -> tf.Tensor:
        image = tf.image.resize_with_crop_or_pad(image, _FACE, _FACE)
        image = tf.image.resize(image, shape[:2], method="area")
        return tf.cast(tf.round(image), tf.uint8)

    def attributes(example: dict[str, Any]) -> tf.Tensor:
        return tf.stack([example["attributes"][name] for name in names])

    train, validation, test = (
        _in_memory(examples, event_shape=shape, convert=convert, condition=attributes)
        for examples in opened
    )
    return ImageData("celeb_a", shape, train, validation, test, True, tuple(names))


def load_downsampled_imagenet(
    data_dir: str | os.PathLike | None, image_size: int
) -> ImageData:
    """Returns downsampled ImageNet, 1,281,149 training and 49,999 test images.

    These are the images of PixelRNN and Real NVP, which ImageNet's own site has since
    replaced by others, easier to model, of the same sizes. The papers report on what
    the data set calls validation. As in the paper, none is mirrored.
    """
    train, test = (
        _mapped_imagenet(split, data_dir, image_size)
        for split in ("train", "validation")
    )
    train, validation = train.take_out()
    shape = (image_size, image_size, 3)
    return ImageData(f"imagenet{image_size}", shape, train, validation, test)


def _mapped_imagenet(
    split: str, data_dir: str | os.PathLike | None, size: int
) -> ImageSplit:
    import tensorflow_datasets as tfds

    name, download = f"downsampled_imagenet/{size}x{size}", {32: "4.0", 64: "11.7"}
    examples = _prepared(
        name,
        split,
        data_dir,
        advice=f"from train_{size}x{size}.tar and valid_{size}x{size}.tar "
        f"({download[size]} GiB). They are no longer at http://image-net.org/small/; "
        "https://github.com/tensorflow/datasets/issues/4662 says where they are. Put "
        "both into a FOLDER, for TFDS to check",
        config=f"download_config={_MANUAL_CONFIG}",
    )
    images = examples.map(
        # TFDS does not know the sizes.
        lambda example: tf.ensure_shape(example["image"], [size, size, 3]),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    pixels = kept_array(
        pathlib.Path(tfds.builder(name, data_dir=data_dir).data_dir),
        f"{name.replace('/', '-')}-{split}",
        (len(examples), size, size, 3),
        np.uint8,
        images.batch(_READ_AT_ONCE).prefetch(1).as_numpy_iterator,
    )
    return ImageSplit.from_array(pixels)


def _prepared(
    name: str,
    split: str,
    data_dir: str | os.PathLike | None,
    *,
    advice: str,
    config: str = "",
) -> tf.data.Dataset:
    """Returns the examples of a split as TFDS has them, or says how to prepare them."""
    # Importing TFDS takes a second that the other data sets need not pay.
    import tensorflow_datasets as tfds

    try:
        return tfds.load(name, split=split, data_dir=data_dir, download=False)
    except AssertionError as error:
        folder = tfds.builder(name, data_dir=data_dir).data_dir
        where = "" if data_dir is None else f", data_dir='{data_dir}'"
        # TFDS's own program, `tfds build`, starts only where Apache Beam is installed.
        raise FileNotFoundError(
            f"dataset: {name} is not prepared in {folder}. "
            "Either name the folder that holds it (--data-dir), or prepare it once, "
            f'{advice}: python -c "import tensorflow_datasets as tfds; '
            f"tfds.builder('{name}'{where}).download_and_prepare({config})\""
        ) from error


def _in_memory(
    examples: tf.data.Dataset,
    *,
    event_shape: tuple[int, int, int],
    convert: Callable[[tf.Tensor], tf.Tensor],
    condition: Callable[[dict[str, Any]], tf.Tensor],
) -> ImageSplit:
    """Returns the converted images of prepared examples, and their conditions."""
    pairs = examples.map(
        lambda example: (convert(example["image"]), condition(example)),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    spec = pairs.element_spec[1]
    images = np.empty([len(examples), *event_shape], np.uint8)
    conditions = np.empty([len(examples), *spec.shape], spec.dtype.as_numpy_dtype)
    progress, done = ProgressBar(len(images)), 0
    for batch, of_batch in pairs.batch(_READ_AT_ONCE).prefetch(1).as_numpy_iterator():
        images[done : done + len(batch)] = batch
        conditions[done : done + len(batch)] = of_batch
        done += len(batch)
        progress.update(done)
    return ImageSplit.from_array(images, conditions)
