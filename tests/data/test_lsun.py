import io

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from made_up import places, write_lmdb
from mixed_folder import encoded
from PIL import Image

from tfp_realnvp.data import load_images
from tfp_realnvp.data.known_sets import load_lsun

SIDES = [(256, 300), (256, 256), (411, 256), (96, 97), (100, 50)]


def write_lsun(folder, category="tower", count=12, **other):
    """Writes photographs of several sizes and formats; returns them by split."""
    random = np.random.default_rng(0)
    values = {}
    for part, number in (("train", count), ("val", 3)):
        values[part] = {}
        for i in range(number):
            height, width = SIDES[i % len(SIDES)]
            coarse = random.integers(0, 256, [8, 8, 3], np.uint8)
            photo = Image.fromarray(coarse).resize((width, height))
            value = encoded(photo, ("WEBP", "JPEG")[i % 2], quality=75)
            values[part][random.bytes(20).hex().encode()] = value
        values[part].update(other.get(part, {}))
        write_lmdb(folder / f"{category}_{part}_lmdb", values[part])
    return values


def scaled(value):
    """The photograph with a smaller side of 96, computed without our code."""
    photo = Image.open(io.BytesIO(value)).convert("RGB")
    width, height = photo.size
    size = round(max(96, width * 96 / height)), round(max(96, height * 96 / width))
    return np.asarray(photo.resize(size, Image.Resampling.HAMMING))


def test_crops_come_from_the_scaled_photographs_of_their_own_split(tmp_path):
    values = write_lsun(tmp_path)
    data = load_images("lsun_tower", data_dir=tmp_path)
    assert data.event_shape == (64, 64, 3) and data.flips
    (validation, *train), test = (
        [scaled(value) for _, value in sorted(values[part].items())]
        for part in ("train", "val")
    )
    assert (len(train), len(test)) == (11, 3)
    expected = ((data.train, train), (data.validation, [validation]), (data.test, test))
    for split, own in expected:
        for crop, photo in zip(split.take(20), own, strict=True):
            assert places(crop, photo)


def test_places_of_crops_are_uniform_over_the_photograph(tmp_path):
    # Each pixel of the photograph, losslessly stored, tells its own place.
    photo = np.stack([*np.indices([96, 100]), np.zeros([96, 100])], -1).astype(np.uint8)
    value = encoded(Image.fromarray(photo), "WEBP", lossless=True)
    values = {b"%040d" % i: value for i in range(2)}
    for part in ("train", "val"):
        write_lmdb(tmp_path / f"bedroom_{part}_lmdb", values)
    data = load_lsun("bedroom", tmp_path, image_size=92)
    count = 2000
    seeds = tf.random.stateless_uniform([count, 2], [0, 0], None, None, tf.int32)
    crops = data.train.images(tf.zeros([count], tf.int64), seeds).numpy()
    found = crops[:, 0, 0, :2]
    np.testing.assert_array_equal(
        crops[7], photo[found[7, 0] :, found[7, 1] :][:92, :92]
    )
    counts = np.zeros([5, 9])
    np.add.at(counts, tuple(found.T), 1)
    assert 0.001 < scipy.stats.chisquare(counts.ravel()).pvalue < 0.999


def test_batches_read_at_the_same_time_are_not_mixed_up(tmp_path):
    pixels = np.arange(200, dtype=np.uint8)
    images = {b"%03d" % i: Image.new("L", (96, 96), int(i)) for i in pixels}
    values = {key: encoded(image, "PNG") for key, image in images.items()}
    for part in ("train", "val"):
        write_lmdb(tmp_path / f"tower_{part}_lmdb", values)
    data = load_lsun("tower", tmp_path, image_size=1)
    found = [image[0, 0, 0] for image in data.test.take(200)]
    np.testing.assert_array_equal(found, pixels)
    epoch = np.concatenate(
        list(data.training_batches(10, seed=0).take(18).as_numpy_iterator())
    )
    rest = np.delete(pixels, np.s_[::10])
    np.testing.assert_array_equal(np.sort(epoch[:, 0, 0, 0]), rest)


def test_nothing_but_the_keys_is_written_beside_the_photographs(tmp_path, capsys):
    write_lsun(tmp_path)
    one, two = (load_lsun("tower", tmp_path).test.take(3) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    names = sorted(path.name for path in (tmp_path / "tower_val_lmdb").iterdir())
    assert names == ["data.mdb", "tower_val_lmdb-keys.npy"]
    assert capsys.readouterr().out.count("val_lmdb-keys.npy, once") == 1


@pytest.mark.parametrize("value", [b"", b"no image"])
def test_an_image_that_cannot_be_read_is_named(tmp_path, value):
    write_lsun(tmp_path, val={b"f" * 40: value})
    message = f"image f{{40}} in .*tower_val_lmdb, got {len(value)} bytes that cannot"
    with pytest.raises(tf.errors.OpError, match=message):
        load_lsun("tower", tmp_path).test.take(4)
    write_lmdb(tmp_path / "empty" / "tower_train_lmdb", {})
    write_lmdb(tmp_path / "empty" / "tower_val_lmdb", {})
    with pytest.raises(ValueError, match="dataset: expected images in .*train_lmdb"):
        load_lsun("tower", tmp_path / "empty")


@pytest.mark.parametrize("missing", ["train", "val"])
def test_databases_that_are_not_there_are_explained_at_once(tmp_path, missing):
    write_lsun(tmp_path, "church_outdoor", count=2)
    (tmp_path / f"church_outdoor_{missing}_lmdb" / "data.mdb").unlink()
    message = (
        f"dataset: expected church_outdoor_{missing}_lmdb/data.mdb in .*{tmp_path}.*"
        "2.3 GiB.*curl .*http://dl.yf.io/lsun/scenes/church_outdoor_train_lmdb.zip && "
        f"unzip church_outdoor_train_lmdb.zip -d {tmp_path}; .*_val_lmdb.zip"
    )
    with pytest.raises(FileNotFoundError, match=message):
        load_images("lsun_church_outdoor", data_dir=tmp_path)
    assert not list(tmp_path.rglob("*-keys*"))
    with pytest.raises(FileNotFoundError, match="--data-dir.*got None.*unzip .*FOLDER"):
        load_images("lsun_bedroom")
