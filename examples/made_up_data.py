"""Made-up images, in the formats of the real, to try the training programs with."""

import contextlib
import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from tfp_realnvp.optional import require

COUNTS = {"train": 80, "validation": 16}


@contextlib.contextmanager
def mock_tfds(folder):
    """Has TFDS itself make images up, in memory."""
    with tfds.testing.mock_data(num_examples=80):
        yield None


@contextlib.contextmanager
def prepare_imagenet(folder, size):
    """Prepares noise as TFDS prepares downsampled ImageNet."""
    builder = tfds.builder(f"downsampled_imagenet/{size}x{size}", data_dir=folder)
    builder.data_path.mkdir(parents=True)
    writer = tfds.core.SequentialWriter(builder.info, max_examples_per_shard=100)
    writer.initialize_splits(list(COUNTS))
    for split, count in COUNTS.items():
        images = noise(count, size, size)
        writer.add_examples({split: [{"image": image} for image in images]})
    writer.close_all()
    yield folder


@contextlib.contextmanager
def write_lsun(folder, category):
    """Writes noise into databases like LSUN's."""
    lmdb = require("lmdb", "an LSUN data set", extra="lsun")
    for part, count in zip(("train", "val"), COUNTS.values(), strict=True):
        path = folder / f"{category}_{part}_lmdb"
        path.mkdir()
        environment = lmdb.open(str(path), map_size=2**28)
        with environment, environment.begin(write=True) as transaction:
            for i, image in enumerate(noise(count, 256, 300)):
                encoded = io.BytesIO()
                Image.fromarray(image).save(encoded, "WEBP")
                transaction.put(b"%040x" % i, encoded.getvalue())
    yield folder


def noise(count, height, width):
    random = np.random.default_rng(0)
    return random.integers(0, 256, [count, height, width, 3], np.uint8)
