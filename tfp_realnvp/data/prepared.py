"""Data sets that TFDS has prepared on disk."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.data.progress import ProgressBar

# What makes TFDS look for downloaded files in a folder of the user's.
MANUAL_CONFIG = "tfds.download.DownloadConfig(manual_dir='FOLDER')"
READ_AT_ONCE = 500


def open_prepared(
    name: str,
    split: str,
    data_dir: str | os.PathLike | None,
    *,
    advice: str,
    by_hand: bool = False,
) -> tf.data.Dataset:
    """Returns the examples of a split as TFDS has them.

    Args:
      name: Python `str`, TFDS's name of the data set.
      split: Python `str`, TFDS's name of the split.
      data_dir: Folder where TFDS keeps its data; `None` is TFDS's own default.
      advice: Python `str`, what to know about preparing it.
      by_hand: Python `bool`, whether TFDS cannot download what it is prepared from, so
        that the user has to.

    Raises:
      FileNotFoundError: If the data set is not prepared there.
      ValueError: If what TFDS wrote there of it is damaged.
    """
    # Importing TFDS takes a second that the other data sets need not pay.
    import tensorflow_datasets as tfds

    folder = prepared_folder(name, data_dir)
    try:
        return tfds.load(
            name, split=split, data_dir=data_dir, download=False, shuffle_files=False
        )
    except AssertionError as error:
        # Whether it is prepared is not asked before, since what `tfds.testing`
        # imitates is not.
        where = "" if data_dir is None else f", data_dir='{data_dir}'"
        config = f"download_config={MANUAL_CONFIG}" if by_hand else ""
        # TFDS's own program, `tfds build`, starts only where Apache Beam is installed.
        raise FileNotFoundError(
            f"dataset: {name} is not prepared in {folder}. "
            "Either name the folder that holds it (--data-dir), or prepare it once, "
            f'{advice}: python -c "import tensorflow_datasets as tfds; '
            f"tfds.builder('{name}'{where}).download_and_prepare({config})\""
        ) from error


def prepared_folder(name: str, data_dir: str | os.PathLike | None) -> pathlib.Path:
    """Returns the folder where TFDS has the data set, or would have it.

    Args:
      name: Python `str`, TFDS's name of the data set.
      data_dir: Folder where TFDS keeps its data; `None` is TFDS's own default.

    Raises:
      ValueError: If what TFDS wrote there of the data set is damaged.
    """
    import tensorflow_datasets as tfds
    from google.protobuf import json_format

    try:
        return pathlib.Path(tfds.builder(name, data_dir=data_dir).data_dir)
    except (AssertionError, json_format.Error) as error:
        raise ValueError(
            f"dataset: expected {name} as TFDS prepared it, got a damaged "
            f"dataset_info.json: {' '.join(str(error).split())}"
        ) from error


def read_split(
    examples: tf.data.Dataset,
    *,
    event_shape: tuple[int, int, int],
    convert: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    condition: Callable[[dict[str, Any]], tf.Tensor],
) -> ImageSplit:
    """Returns the images of a split, read into memory, and their conditions.

    Args:
      examples: What `open_prepared` returns.
      event_shape: (height, width, channels) of every image once converted.
      convert: Function of one image as it was prepared.
      condition: Function of one example that returns its condition.
    """
    pairs = examples.map(
        lambda example: (convert(example["image"]), condition(example)),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    spec = pairs.element_spec[1]
    images = np.empty([len(examples), *event_shape], np.uint8)
    conditions = np.empty([len(examples), *spec.shape], spec.dtype.as_numpy_dtype)
    progress, done = ProgressBar(len(images)), 0
    for batch, of_batch in pairs.batch(READ_AT_ONCE).prefetch(1).as_numpy_iterator():
        images[done : done + len(batch)] = batch
        conditions[done : done + len(batch)] = of_batch
        done += len(batch)
        progress.update(done)
    return ImageSplit.from_array(images, conditions)
