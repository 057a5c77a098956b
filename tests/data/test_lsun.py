import io

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from made_up_databases import encode, write_lmdb
from PIL import Image

from tfp_realnvp.data import load_images
from tfp_realnvp.data.lsun import load_lsun

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
            format = ("WEBP", "JPEG")[i % 2]
            value = encode(np.asarray(photo), format, quality=75)
            values[part][random.bytes(20).hex().encode()] = value
        values[part].update(other.get(part, {}))
        write_lmdb(folder / f"{category}_{part}_lmdb", values[part])
    return values


def scaled(value):
    """The photograph with a smaller side of 96, computed without our code."""
    photo = Image.open(io.BytesIO(value)).convert("RGB")
    width, height = photo.size
    size = (96, round(height * 96 / width))
    if height < width:
        size = (round(width * 96 / height), 96)
    return np.asarray(photo.resize(size, Image.Resampling.HAMMING))


def places(crop, photo):
    """Where the crop is found in the photograph."""
    size = len(crop)
    rows, columns = np.subtract(photo.shape[:2], size - 1)
    window = np.lib.stride_tricks.sliding_window_view(photo, (size, size), axis=(0, 1))
    corners = np.all(window[..., 0, 0] == crop[0, 0], axis=-1)
    assert corners.shape == (rows, columns)
    return [
        (top, left)
        for top, left in np.argwhere(corners)
        if np.array_equal(photo[top : top + size, left : left + size], crop)
    ]


def test_crops_come_from_the_scaled_photographs_of_their_own_split(tmp_path):
    values = write_lsun(tmp_path)
    data = load_images("lsun_tower", data_dir=tmp_path)
    assert data.event_shape == (64, 64, 3)
    assert data.flips
    assert (data.train.count, data.validation.count, data.test.count) == (11, 1, 3)
    photos = {
        part: [scaled(value) for _, value in sorted(of_part.items())]
        for part, of_part in values.items()
    }
    validation, *train = photos["train"]
    for split, own in (
        (data.train, train),
        (data.validation, [validation]),
        (data.test, photos["val"]),
    ):
        for crop, photo in zip(split.take(20), own, strict=True):
            assert places(crop, photo)


def test_the_first_batch_holds_crops_half_of_them_mirrored(tmp_path):
    values = write_lsun(tmp_path, count=80)
    data = load_lsun("tower", tmp_path, image_size=32)
    photos = [scaled(value) for _, value in sorted(values["train"].items())]
    batch = next(iter(data.training_batches(72, seed=0))).numpy()
    assert batch.dtype == np.uint8
    plain, mirrored = (
        [
            {i for i, photo in enumerate(photos) if places(crop, photo)}
            for crop in (batch, batch[:, :, ::-1])[way]
        ]
        for way in (0, 1)
    )
    assert all(len(a | b) == 1 for a, b in zip(plain, mirrored, strict=True))
    assert len(set.union(*plain, *mirrored)) == 72
    assert 20 < sum(map(bool, mirrored)) < 52


def test_places_of_crops_are_uniform_over_the_photograph(tmp_path):
    # Each pixel of the photograph, losslessly stored, tells its own place.
    photo = np.stack([*np.indices([96, 100]), np.zeros([96, 100])], -1).astype(np.uint8)
    value = encode(photo, lossless=True)
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


def test_crops_for_testing_stay_and_those_for_training_move(tmp_path):
    write_lsun(tmp_path)
    data, again = (load_lsun("tower", tmp_path) for _ in range(2))
    np.testing.assert_array_equal(data.test.take(3), again.test.take(3))
    steps = [data.training_batches(11, seed=0, first_step=step) for step in (0, 1)]
    one, two = (np.sort(next(iter(batches)).numpy(), axis=0) for batches in steps)
    assert np.any(one != two)


def test_batches_read_at_the_same_time_are_not_mixed_up(tmp_path):
    pixels = np.arange(200, dtype=np.uint8)
    values = {
        b"%03d" % i: encode(np.full([96, 96, 3], i, np.uint8), lossless=True)
        for i in pixels
    }
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


def test_nothing_but_the_keys_is_written_beside_the_photographs(tmp_path):
    write_lsun(tmp_path)
    load_lsun("tower", tmp_path).test.take(1)
    names = sorted(path.name for path in (tmp_path / "tower_val_lmdb").iterdir())
    assert names == ["data.mdb", "tower_val_lmdb-keys.npy"]


def test_keys_are_read_once(tmp_path, monkeypatch):
    write_lsun(tmp_path)
    first = load_lsun("tower", tmp_path).test.take(3)
    monkeypatch.setattr("tfp_realnvp.data.memory_mapped._write", None)
    np.testing.assert_array_equal(load_lsun("tower", tmp_path).test.take(3), first)


@pytest.mark.parametrize("damage", ["half", "nothing", "words"])
def test_an_image_that_cannot_be_read_is_named(tmp_path, damage):
    whole = encode(np.zeros([256, 256, 3], np.uint8), "JPEG")
    value = {"half": whole[:-200], "nothing": b"", "words": b"no image"}[damage]
    write_lsun(tmp_path, val={b"f" * 40: value})
    message = f"image f{{40}} in .*tower_val_lmdb, got {len(value)} bytes"
    with pytest.raises(tf.errors.OpError, match=message):
        load_lsun("tower", tmp_path).test.take(4)


def test_half_a_webp_image_is_named(tmp_path):
    whole = encode(np.random.default_rng(0).integers(0, 256, [99, 99, 3], np.uint8))
    write_lsun(tmp_path, val={b"f" * 40: whole[: len(whole) // 2]})
    with pytest.raises(tf.errors.OpError, match="image f{40} in .*cannot be read"):
        load_lsun("tower", tmp_path).test.take(4)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            encode(np.zeros([2, 256, 3], np.uint8), "JPEG"),
            "no side more than 100 times",
        ),
        (encode(np.zeros([9500, 9500, 3], np.uint8), "JPEG"), "at most 89,478,485 pix"),
        (encode(np.zeros([99, 99, 3], np.uint8), "EPS"), "cannot be read"),
    ],
    ids=["strip", "giant", "program"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_images_made_to_do_harm_are_refused(tmp_path, value, message):
    write_lsun(tmp_path, val={b"f" * 40: value})
    with pytest.raises(tf.errors.OpError, match=f"{message}.*"):
        load_lsun("tower", tmp_path).test.take(4)


def test_a_list_of_keys_of_another_database_is_found_out(tmp_path):
    write_lsun(tmp_path)
    folder = tmp_path / "tower_val_lmdb"
    np.save(folder / "tower_val_lmdb-keys.npy", np.array([b"0" * 40] * 3))
    with pytest.raises(tf.errors.OpError, match="got none. Remove tower_val_lmdb-keys"):
        load_lsun("tower", tmp_path).test.take(1)


def test_a_database_without_images_is_refused(tmp_path):
    write_lmdb(tmp_path / "tower_train_lmdb", {})
    write_lmdb(tmp_path / "tower_val_lmdb", {})
    with pytest.raises(ValueError, match="dataset: expected images in .*train_lmdb"):
        load_lsun("tower", tmp_path)


def test_keys_of_several_lengths_are_refused(tmp_path):
    write_lsun(tmp_path, val={b"short": b""})
    with pytest.raises(ValueError, match="dataset: expected keys of 40 bytes in .*val"):
        load_lsun("tower", tmp_path)


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


def test_a_folder_must_be_named():
    with pytest.raises(FileNotFoundError, match="--data-dir.*got None.*unzip .*FOLDER"):
        load_images("lsun_bedroom")


def test_bad_categories_and_sizes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="category: expected \"bedroom\".*'kitchen'"):
        load_lsun("kitchen", tmp_path)
    for size in (0, 97):
        with pytest.raises(
            ValueError, match=f"image_size: expected an int from 1 to 96, got {size}"
        ):
            load_lsun("tower", tmp_path, image_size=size)
