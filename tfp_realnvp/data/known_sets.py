"""Loaders of scikit-learn's digits and photographs, TFDS's data sets, and LSUN."""

from __future__ import annotations

import functools
import itertools
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from tfp_realnvp.arguments import check_int, require
from tfp_realnvp.choices import SPLITS
from tfp_realnvp.data.cache import kept_array
from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.image_file import UnreadableImage, decode_image
from tfp_realnvp.data.image_split import ImageSplit, random_squares
from tfp_realnvp.data.progress import ProgressBar

_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_FACE = 148
# With the sizes of the archives to download.
LSUN = {"bedroom": "42.8 GiB", "church_outdoor": "2.3 GiB", "tower": "11.2 GiB"}
_LSUN_URL = "http://dl.yf.io/lsun/scenes"
_SMALLEST_SIDE = 96
# Makes TFDS look for downloaded files in the user's own folder.
_MANUAL = "download_config=tfds.download.DownloadConfig(manual_dir='FOLDER')"
_READ_AT_ONCE = 500
_Folder = str | os.PathLike | None


def load_digits() -> ImageData:
    """Returns scikit-learn's 1,797 digits, with uniform noise on their 17 grey levels.

    Otherwise a density could gain by learning 17 spikes.
    """
    datasets = require("sklearn.datasets", "the digits data set", extra="demo")
    bunch = datasets.load_digits()
    with tf.device("CPU:0"):
        levels = tf.constant(bunch.images[..., np.newaxis], tf.float32)

    def image(number: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        noise = tf.random.stateless_uniform([8, 8, 1], seed)
        spread = (tf.gather(levels, number) + noise) * (256 / 17)
        return tf.cast(spread, tf.uint8)

    labels = bunch.target.astype(np.int32)
    digits = ImageSplit.from_function(len(labels), image, labels)
    numbers = np.arange(len(labels))
    train, validation = digits.select(numbers[numbers % 6 > 0]).take_out()
    test, names = digits.select(numbers[::6]), tuple("0123456789")
    return ImageData("digits", (8, 8, 1), train, validation, test, False, names)


def load_photos(image_size: int) -> ImageData:
    """Returns random crops of scikit-learn's two photographs, new in every epoch.

    Of the 640 columns 400 are for training, 80 for validation, the last 160 for test.
    """
    datasets = require("sklearn.datasets", "the photos data set", extra="demo")
    photos = np.stack(datasets.load_sample_images().images)
    check_int("image_size", image_size, most=80)
    shape = (image_size, image_size, 3)

    def crops(strip: np.ndarray, count: int) -> ImageSplit:
        with tf.device("CPU:0"):
            pixels = tf.constant(strip)
        room = np.subtract(strip.shape[1:3], image_size - 1)
        limits = tf.constant([len(strip), *room], tf.float32)

        def crop(number: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            uniform = tf.random.stateless_uniform([3], seed)
            which, top, left = tf.unstack(tf.cast(uniform * limits, tf.int32))
            image = pixels[which, top : top + image_size, left : left + image_size]
            return tf.ensure_shape(image, shape)

        return ImageSplit.from_function(count, crop)

    strips = np.split(photos, [400, 480], axis=2)
    train, validation, test = map(crops, strips, (4096, 256, 512))
    return ImageData("photos", shape, train, validation, test, flips=True)


def load_cifar10(data_dir: _Folder) -> ImageData:
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


def load_celeb_a(data_dir: _Folder, image_size: int) -> ImageData:
    """Returns CelebA, 202,599 faces in its own three splits, with their 40 attributes.

    The central 148 x 148 of 218 x 178 pixels are scaled. The paper says "approximately
    central"; its code takes the same columns from 5 rows further down.
    """
    check_int("image_size", image_size, most=_FACE)
    advice = (
        "which downloads 1.4 GiB from Google Drive (if that refuses, fetch the files "
        "yourself, put them into a FOLDER and write "
        f"download_and_prepare({_MANUAL}))"
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


def load_downsampled_imagenet(data_dir: _Folder, image_size: int) -> ImageData:
    """Returns downsampled ImageNet, 1,281,149 training and 49,999 test images.

    ImageNet's own site has since replaced them with others that are easier to model. As
    in the paper, its validation images are for test, and images are not mirrored.
    """
    import tensorflow_datasets as tfds

    sides = f"{image_size}x{image_size}"
    name, shape = f"downsampled_imagenet/{sides}", (image_size, image_size, 3)
    size = {32: "4.0", 64: "11.7"}[image_size]
    advice = (
        f"from train_{sides}.tar and valid_{sides}.tar ({size} GiB). They are no "
        "longer at http://image-net.org/small/; "
        "https://github.com/tensorflow/datasets/issues/4662 says where they are. Put "
        "both into a FOLDER, for TFDS to check"
    )

    def mapped(split: str) -> ImageSplit:
        examples = _prepared(name, split, data_dir, advice=advice, config=_MANUAL)
        images = examples.map(
            # TFDS does not know the sizes.
            lambda example: tf.ensure_shape(example["image"], shape),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        pixels = kept_array(
            pathlib.Path(tfds.builder(name, data_dir=data_dir).data_dir),
            f"downsampled_imagenet-{sides}-{split}",
            (len(examples), *shape),
            np.uint8,
            images.batch(_READ_AT_ONCE).prefetch(1).as_numpy_iterator,
        )
        return ImageSplit.from_array(pixels)

    train, test = map(mapped, ("train", "validation"))
    train, validation = train.take_out()
    return ImageData(f"imagenet{image_size}", shape, train, validation, test)


def _prepared(
    name: str, split: str, data_dir: _Folder, *, advice: str, config: str = ""
) -> tf.data.Dataset:
    """Returns the examples of a split from TFDS; the error says how to prepare them."""
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


def load_lsun(category: str, data_dir: _Folder, image_size: int = 64) -> ImageData:
    """Returns LSUN's photographs of one category, from LSUN's own databases.

    As in the paper, the smaller side is scaled to 96 pixels and a random crop is taken;
    the 300 validation images are for test. Of Pillow's filters, Hamming comes closest
    to the paper's code (a mean difference of 1 in 256).
    """
    check_int("image_size", image_size, most=_SMALLEST_SIDE)
    require("lmdb", "an LSUN data set", extra="lsun")
    shape = (image_size, image_size, 3)
    folders = []
    for part in ("train", "val"):
        name = f"{category}_{part}_lmdb"
        folder = pathlib.Path(data_dir or "").expanduser() / name
        if data_dir is None or not (folder / "data.mdb").is_file():
            where = "FOLDER" if data_dir is None else data_dir
            archives = (f"{category}_{part}_lmdb.zip" for part in ("train", "val"))
            commands = "; ".join(
                f"curl -L -C - -O {_LSUN_URL}/{archive} && unzip {archive} -d {where}"
                for archive in archives
            )
            raise FileNotFoundError(
                f"dataset: expected {name}/data.mdb in the folder that data_dir "
                f"(--data-dir) names, got {data_dir}. Download LSUN's {category} once, "
                f"{LSUN[category]} and as much again unpacked: {commands}"
            )
        folders.append(folder.resolve())
    train, test = (_lsun_crops(folder, shape) for folder in folders)
    train, validation = train.take_out()
    return ImageData(f"lsun_{category}", shape, train, validation, test, flips=True)


def _lsun_crops(folder: pathlib.Path, shape: tuple[int, int, int]) -> ImageSplit:
    keys = _lsun_keys(folder)

    def photo(number: int) -> np.ndarray:
        key = bytes(keys[number])
        with _lsun_environment(folder).begin() as transaction:
            encoded = transaction.get(key, b"")
        try:
            image = decode_image(encoded)
        except UnreadableImage as error:
            raise ValueError(
                f"dataset: expected a whole image {key.decode()} in {folder}, got "
                f"{len(encoded)} bytes that cannot be read ({error}). Unpack or "
                f"download the archive again, and remove {folder.name}-keys*.npy, the "
                "list of its images."
            ) from error
        scale = _SMALLEST_SIDE / min(image.size)
        width, height = (max(_SMALLEST_SIDE, round(s * scale)) for s in image.size)
        return np.asarray(image.resize((width, height), Image.Resampling.HAMMING))

    return random_squares(photo, len(keys), shape)


@functools.cache
def _lsun_environment(folder: pathlib.Path) -> Any:
    """Returns the database; LMDB lets a process open it only once."""
    import lmdb

    # Without locks the folder may be read-only, and nobody writes to it.
    return lmdb.open(str(folder), readonly=True, lock=False)


def _lsun_keys(folder: pathlib.Path) -> np.ndarray:
    """Returns the names of all images, kept in a file since listing them takes long."""
    with _lsun_environment(folder).begin() as transaction:
        count = transaction.stat()["entries"]
        first = next(transaction.cursor().iternext(values=False), b"")
    if not first:
        raise ValueError(f"dataset: expected images in {folder}, got none.")
    dtype = f"S{len(first)}"

    def pieces() -> Iterator[np.ndarray]:
        with _lsun_environment(folder).begin() as transaction:
            keys = transaction.cursor().iternext(values=False)
            while piece := list(itertools.islice(keys, 10_000)):
                yield np.array(piece, dtype)

    return kept_array(folder, f"{folder.name}-keys", (count,), dtype, pieces)
