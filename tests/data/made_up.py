"""Made-up image files, archives of them, and databases in the formats of the real."""

import io
import pathlib
import tarfile
import zipfile

import lmdb
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from mixed_folder import encoded
from PIL import Image


def png_of(value, *, size=(40, 60)):
    """An image of one colour, mostly its red, so that it is not taken for grey."""
    return encoded(Image.new("RGB", size[::-1], (value, 0, 1)), "PNG")


def write_folder(folder, files):
    for name, contents in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(contents)


def write_archive(path, files):
    """Writes files, or tar's own descriptions of what is none, by name."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, contents in files.items():
                archive.writestr(name, contents)
        return
    with tarfile.open(path, "w:gz" if path.suffix != ".tar" else "w") as archive:
        for name, contents in files.items():
            if isinstance(contents, tarfile.TarInfo):
                archive.addfile(contents)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))


def prepare_imagenet(data_dir, size, counts):
    """Prepares random images as TFDS does ImageNet's; returns them by split."""
    builder = tfds.builder(f"downsampled_imagenet/{size}x{size}", data_dir=data_dir)
    pathlib.Path(builder.data_dir).mkdir(parents=True)
    random = np.random.default_rng(0)
    images = {
        split: random.integers(0, 256, [count, size, size, 3], np.uint8)
        for split, count in counts.items()
    }
    writer = tfds.core.SequentialWriter(builder.info, max_examples_per_shard=30)
    writer.initialize_splits(list(images))
    for split, array in images.items():
        # As in the archives: the bytes are taken over, whatever TFDS calls them.
        pngs = [io.BytesIO(tf.io.encode_png(image).numpy()) for image in array]
        writer.add_examples({split: [{"image": png} for png in pngs]})
    writer.close_all()
    return images


def write_lmdb(folder, values):
    """Writes a database of images, or of other bytes, by key."""
    folder.mkdir(parents=True)
    environment = lmdb.open(str(folder), map_size=2**28)
    with environment, environment.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key, value)
    # LSUN's archives hold one too, but a folder that cannot be written to has none.
    (folder / "lock.mdb").unlink()


def places(crop, photo):
    """Where the crop is found in the photograph."""
    size = len(crop)
    rows, columns = np.subtract(photo.shape[:2], size - 1)
    corners = np.all(photo[:rows, :columns] == crop[0, 0], axis=-1)
    return [
        (top, left)
        for top, left in np.argwhere(corners)
        if np.array_equal(photo[top : top + size, left : left + size], crop)
    ]
