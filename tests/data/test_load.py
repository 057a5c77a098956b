import pathlib

import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
import tensorflow_datasets as tfds
from made_up_images import png_of, write_folder

from tfp_realnvp import optional
from tfp_realnvp.data import load_images


def splits(data):
    return data.train, data.validation, data.test


def counts(data):
    return [split.count for split in splits(data)]


@pytest.mark.parametrize(
    ("name", "options"), [("digits", {}), ("photos", {"image_size": 24})]
)
def test_embedded_data_are_as_they_announce_and_always_the_same(name, options):
    data, again = load_images(name, **options), load_images(name, **options)
    for split, same in zip(splits(data), splits(again), strict=True):
        images = split.take(split.count)
        assert images.dtype == np.uint8
        assert images.shape == (split.count, *data.event_shape)
        np.testing.assert_array_equal(images, same.take(split.count))
        np.testing.assert_array_equal(images, split.take(split.count))


def test_digits_are_scikit_learns_spread_over_256_values():
    data = load_images("digits")
    levels = sklearn.datasets.load_digits().images
    rest = np.delete(levels, np.s_[::6], axis=0)
    validation = np.arange(149) * len(rest) // 149
    expected = np.delete(rest, validation, axis=0), rest[validation], levels[::6]
    for split, levels in zip(splits(data), expected, strict=True):
        pixels = split.take(split.count)[..., 0].astype(int)
        # A pixel's values, one wide, reach into the range of its grey level.
        assert np.all((pixels + 1) * 17 / 256 > levels)
        assert np.all(pixels * 17 / 256 < levels + 1)


def test_no_digit_is_in_two_splits():
    # No two digits have the same grey levels, which are read off the pixels.
    levels = [
        {(image.astype(int) * 17 // 255).tobytes() for image in split.take(split.count)}
        for split in splits(load_images("digits"))
    ]
    assert len(set.union(*levels)) == 1797


def test_digits_have_new_noise_in_every_epoch_of_training():
    digits = load_images("digits")
    number, seeds = tf.zeros([2], tf.int64), tf.constant([[0, 1], [0, 2]])
    one, two = digits.train.images(number, seeds).numpy().astype(int)
    assert 0 < np.abs(one - two).max() <= 256 / 17 + 1


def test_photo_crops_come_from_the_photographs_and_splits_do_not_overlap():
    data = load_images("photos", image_size=16)
    photos = sklearn.datasets.load_sample_images().images

    def columns_of(crop):
        """Columns at which the crop is found in either photograph."""
        found = []
        for photo in photos:
            first = np.all(photo == crop[0, 0], axis=-1)
            for top, left in zip(*np.nonzero(first), strict=True):
                window = photo[top : top + 16, left : left + 16]
                if np.array_equal(window, crop):
                    found.append(left)
        return found

    places = []
    for split in splits(data):
        found = [columns_of(crop) for crop in split.take(5)]
        assert all(found)
        places.append([column for columns in found for column in columns])
    train, validation, test = places
    assert max(train) + 16 <= 400 <= min(validation)
    assert max(validation) + 16 <= 480 <= min(test)


def test_photo_crops_are_new_in_every_epoch():
    data = load_images("photos", image_size=16)
    steps = data.steps_per_epoch(8)
    one, two = (
        next(iter(data.training_batches(8, seed=0, first_step=step)))
        for step in (0, steps)
    )
    assert np.any(one != two)


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("mnist", {}, ValueError, "dataset: expected digits, .* got 'mnist'"),
        ("digits", {"image_size": 16}, ValueError, "image_size: expected 8.*got 16"),
        ("photos", {"image_size": 0}, ValueError, "image_size: expected 1 to .*got 0"),
        ("photos", {"image_size": 81}, ValueError, "image_size: .* 1 to 80, got 81"),
        ("folder:nowhere", {}, FileNotFoundError, "dataset: .* got nowhere"),
        ("folder:", {}, ValueError, "dataset: expected folder:PATH, got 'folder:'"),
        ("folder:.", {"labels": "a.csv"}, ValueError, "labels: expected conditional"),
        ("digits", {"channels": 3}, ValueError, "channels: .* folder:PATH alone"),
        ("digits", {"crop": "none"}, ValueError, "crop: .* folder:PATH alone"),
        ("digits", {"skip_damaged": True}, ValueError, "skip_damaged: .* alone"),
        ("digits", {"augment": "turn"}, ValueError, "augment: expected"),
    ],
)
def test_bad_names_and_sizes_are_refused(name, options, error, message):
    with pytest.raises(error, match=message):
        load_images(name, **options)


def test_a_folder_may_have_moved(tmp_path):
    write_folder(tmp_path / "a", {f"{i}.png": png_of(i) for i in range(9)})
    before = load_images(f"folder:{tmp_path / 'a'}")
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(FileNotFoundError, match="expected a folder of images"):
        load_images(before.name)
    after = load_images(before.name, data_dir=tmp_path / "b")
    assert after.fingerprint() == before.fingerprint()


def test_images_are_mirrored_where_the_user_says_so(tmp_path):
    write_folder(tmp_path, {f"{i}.png": png_of(i) for i in range(9)})
    assert not load_images(f"folder:{tmp_path}").flips
    assert load_images(f"folder:{tmp_path}", augment="flip").flips
    assert load_images("digits", augment="flip").flips


def test_data_that_tfds_has_not_prepared_are_explained_at_once(tmp_path):
    message = (
        r"cifar10 is not prepared in .*cifar10.*163 MiB: python -c .*tfds.builder\("
        r"'cifar10', data_dir='.*'\).download_and_prepare\(\)\"$"
    )
    with pytest.raises(FileNotFoundError, match=message):
        load_images("cifar10", data_dir=tmp_path)


@pytest.mark.parametrize("contents", ["", "{", '{"name": 3}', "[]"])
def test_a_damaged_description_of_prepared_data_is_refused(tmp_path, contents):
    folder = pathlib.Path(tfds.builder("cifar10", data_dir=tmp_path).data_dir)
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(contents)
    with pytest.raises(ValueError, match=r"dataset: .*damaged dataset_info\.json: .*"):
        load_images("cifar10", data_dir=tmp_path)


def test_cifar10_is_read_through_tfds_and_no_image_is_in_two_splits(data_dir):
    data = load_images("cifar10", data_dir=data_dir)
    assert counts(data) == [49_000, 1_000, 10_000]
    # CIFAR-10 has no image twice.
    images = {image.tobytes() for s in splits(data) for image in s.take(s.count)}
    assert len(images) == 60_000


def test_the_first_batch_of_cifar10_holds_its_images_half_of_them_mirrored(data_dir):
    data = load_images("cifar10", data_dir=data_dir)
    batch = next(iter(data.training_batches(400, seed=0)))
    assert batch.dtype == tf.uint8
    images = batch.numpy()
    assert (images.min(), images.max()) == (0, 255)
    theirs = tfds.load("cifar10", split="train", data_dir=data_dir, download=False)
    stored = {example["image"].tobytes() for example in theirs.as_numpy_iterator()}
    plain, mirrored = (
        [image.tobytes() in stored for image in way]
        for way in (images, images[:, :, ::-1])
    )
    assert all(np.logical_xor(plain, mirrored))
    assert 150 < sum(mirrored) < 250


def test_a_missing_package_is_named_with_the_extra_that_brings_it():
    with pytest.raises(ImportError, match=r"a picture needs nonesuch.*\[demo\]"):
        optional.require("nonesuch.module", "a picture", extra="demo")
