import shutil
from collections import namedtuple

import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp.data import ImageData
from tfp_realnvp.data.memory_mapped import kept_array, split_of_mapped

SHAPE = (20, 3, 2, 1)
IMAGES = np.arange(120, dtype=np.uint8).reshape(SHAPE)


def kept(folder, images=IMAGES, shape=SHAPE, dtype=np.uint8):
    return kept_array(folder, "some", shape, dtype, lambda: np.array_split(images, 3))


def never_read():
    raise AssertionError("read again")


def test_what_is_kept_is_what_was_read(tmp_path):
    array = kept(tmp_path)
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable
    np.testing.assert_array_equal(array, IMAGES)
    np.testing.assert_array_equal(np.load(tmp_path / "some.npy"), IMAGES)


def test_an_array_is_read_only_once(tmp_path):
    kept(tmp_path)
    again = kept_array(tmp_path, "some", SHAPE, np.uint8, never_read)
    np.testing.assert_array_equal(again, IMAGES)


@pytest.mark.parametrize(
    "left", ["shape", "type", "half", "nothing", "words", "header", "archive"]
)
def test_what_other_data_left_is_written_anew(tmp_path, left):
    path = tmp_path / "some.npy"
    others = {"shape": IMAGES[:19], "type": IMAGES.astype(np.int8)}
    np.save(path, others.get(left, IMAGES))
    whole = path.read_bytes()
    if left == "half":
        path.write_bytes(whole[:-60])
    elif left == "nothing":
        path.write_bytes(b"")
    elif left == "words":
        path.write_bytes(b"these are no images")
    elif left == "header":
        path.write_bytes(whole.replace(b"}", b"(", 1))
    elif left == "archive":
        with open(path, "wb") as file:
            np.savez(file, IMAGES)
    np.testing.assert_array_equal(kept(tmp_path), IMAGES)


@pytest.mark.parametrize("rows", [19, 21])
def test_fewer_or_more_rows_than_expected_are_refused_and_not_kept(tmp_path, rows):
    with pytest.raises(ValueError, match=f"data_dir: expected {rows} rows.*got 20"):
        kept(tmp_path, shape=(rows, 3, 2, 1))
    assert not list(tmp_path.iterdir())


def test_another_folder_keeps_data_of_one_name_apart(tmp_path, monkeypatch):
    folders = [tmp_path / name for name in ("one", "two", "cache")]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setenv("TFP_REALNVP_CACHE", str(folders[2]))
    kept(folders[0]), kept(folders[1], IMAGES[::-1])
    first, second = (
        kept_array(folder, "some", SHAPE, np.uint8, never_read)
        for folder in folders[:2]
    )
    np.testing.assert_array_equal(first, second[::-1])
    assert not list(folders[0].iterdir())


def test_a_folder_that_is_not_there_is_named_with_the_way_out(tmp_path):
    with pytest.raises(OSError, match="data_dir: .*some.npy.*nowhere.*REALNVP_CACHE"):
        kept(tmp_path / "nowhere")


def test_a_full_disk_is_found_before_anything_is_read(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2**30))
    (tmp_path / ".77.some.npy").touch()
    expected = "data_dir: expected 11.4 GiB .*got 1.0 GiB.*remove .*77.some.npy.*_CACHE"
    with pytest.raises(OSError, match=expected):
        kept_array(tmp_path, "some", (10**6, 64, 64, 3), np.int8, never_read)


def test_images_are_read_by_number_in_a_graph_and_outside(tmp_path):
    split = split_of_mapped(kept(tmp_path))
    numbers, seeds = tf.constant([7, 0, 19], tf.int64), tf.zeros([3, 2], tf.int32)
    for images in (split.images, tf.function(split.images)):
        result = images(numbers, seeds)
        assert result.dtype == tf.uint8
        np.testing.assert_array_equal(result, IMAGES[[7, 0, 19]])
    rest, taken = split.take_out(5)
    np.testing.assert_array_equal(taken.take(5), IMAGES[::4])
    np.testing.assert_array_equal(rest.take(15)[:3], IMAGES[1:4])


def test_batches_read_at_the_same_time_are_not_mixed_up(tmp_path):
    count = 5000
    pixels = np.arange(count, dtype=np.uint32).view(np.uint8).reshape(count, 2, 2, 1)
    array = kept_array(tmp_path, "many", pixels.shape, np.uint8, lambda: [pixels])
    mapped, plain = (
        ImageData("many", (2, 2, 1), split, split, split)
        for split in (split_of_mapped(array), split_of_mapped(pixels))
    )
    batches = mapped.training_batches(50, seed=0)
    assert batches.element_spec == tf.TensorSpec([50, 2, 2, 1], tf.uint8)
    epoch = np.concatenate(list(batches.take(100).as_numpy_iterator()))
    assert len(np.unique(epoch.reshape(count, 4), axis=0)) == count
    again = np.concatenate(
        list(plain.training_batches(50, seed=0).take(100).as_numpy_iterator())
    )
    np.testing.assert_array_equal(epoch, again)
