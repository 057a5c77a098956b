"""Data sets that TFDS has prepared on disk."""

from __future__ import annotations

import os

from tfp_realnvp.data.image_data import ImageData


def load_cifar10(data_dir: str | os.PathLike | None = None) -> ImageData:
    """Returns CIFAR-10, 50,000 training and 10,000 test images of 32 x 32 x 3.

    Args:
      data_dir: Folder where TFDS keeps its data; `None` is TFDS's own default.

    Raises:
      FileNotFoundError: If the data set is not prepared there.
    """
    # Importing TFDS takes a second that the other data sets need not pay.
    import tensorflow_datasets as tfds

    builder = tfds.builder("cifar10", data_dir=data_dir)
    if not builder.is_prepared():
        argument = "" if data_dir is None else f" --data_dir={data_dir}"
        raise FileNotFoundError(
            f"dataset: cifar10 is not prepared in {builder.data_dir}. Either name "
            "the folder that holds it (--data-dir), or prepare it once, which "
            f"downloads 163 MiB: tfds build cifar10{argument}"
        )

    def images(split: str):
        examples = tfds.load(
            "cifar10",
            split=split,
            data_dir=data_dir,
            download=False,
            shuffle_files=False,
        )
        return examples.map(lambda example: example["image"])

    return ImageData(
        name="cifar10",
        event_shape=(32, 32, 3),
        train=images("train"),
        test=images("test"),
        num_train=builder.info.splits["train"].num_examples,
        num_test=builder.info.splits["test"].num_examples,
        flips=True,
    )
