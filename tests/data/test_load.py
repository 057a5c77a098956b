import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf

from tfp_realnvp import optional
from tfp_realnvp.data import load_images
from tfp_realnvp.data.baselines import gaussian_bits_per_dim


def arrays(dataset):
    return np.stack(list(dataset.as_numpy_iterator()))


@pytest.mark.parametrize(
    ("name", "options"), [("digits", {}), ("photos", {"image_size": 24})]
)
def test_embedded_data_are_as_they_announce_and_always_the_same(name, options):
    data, again = load_images(name, **options), load_images(name, **options)
    test = arrays(data.test)
    assert test.dtype == np.uint8
    assert test.shape == (data.num_test, *data.event_shape)
    assert arrays(data.train).shape == (data.num_train, *data.event_shape)
    np.testing.assert_array_equal(test, arrays(again.test))
    np.testing.assert_array_equal(test, arrays(data.test))


def test_digits_are_scikit_learns_spread_over_256_values():
    data = load_images("digits")
    images = sklearn.datasets.load_digits().images
    train = np.delete(images, np.s_[::6], axis=0)
    for split, levels in ((data.test, images[::6]), (data.train, train)):
        pixels = arrays(split)[..., 0].astype(int)
        # A pixel's values, one wide, reach into the range of its grey level.
        assert np.all((pixels + 1) * 17 / 256 > levels)
        assert np.all(pixels * 17 / 256 < levels + 1)


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

    train = [columns_of(c) for c in arrays(data.train.take(5))]
    test = [columns_of(c) for c in arrays(data.test.take(5))]
    assert all(train) and all(test)
    assert max(max(c) for c in train) + 16 <= 480 <= min(min(c) for c in test)


def test_photo_crops_are_new_in_every_epoch():
    data = load_images("photos", image_size=16)
    first, second = arrays(data.train.take(5)), arrays(data.train.take(5))
    assert np.any(first != second)


def write_images(folder, count, *, size=(40, 60)):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        image = np.full([*size, 3], i, np.uint8)
        data = tf.io.encode_png(image).numpy()
        (folder / f"{i:03d}.png").write_bytes(data)


def test_folders_give_scaled_squares_with_every_tenth_for_testing(tmp_path):
    write_images(tmp_path / "deep" / "er", 25)
    data = load_images(f"folder:{tmp_path}", image_size=16)
    assert data.event_shape == (16, 16, 3)
    np.testing.assert_array_equal(arrays(data.test)[:, 0, 0, 0], [0, 10, 20])
    train = arrays(data.train)
    assert train.shape == (22, 16, 16, 3)
    assert sorted(train[:, 7, 7, 1]) == [i for i in range(25) if i % 10]


def test_folders_with_train_and_test_keep_that_split(tmp_path):
    write_images(tmp_path / "train", 4)
    write_images(tmp_path / "test", 3)
    data = load_images(f"folder:{tmp_path}")
    assert (data.num_train, data.num_test) == (4, 3)


def test_pictures_are_scaled_by_the_smaller_side_and_cropped_in_the_middle(tmp_path):
    image = np.zeros([20, 60, 3], np.uint8)
    image[:, 20:40] = 200
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
    data = load_images(f"folder:{tmp_path}", image_size=10)
    np.testing.assert_array_equal(arrays(data.test), np.full([1, 10, 10, 3], 200))


def test_a_damaged_image_is_named(tmp_path):
    write_images(tmp_path, 3)
    (tmp_path / "002.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"dataset: .*002\.png is no image"):
        load_images(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("mnist", {}, ValueError, "dataset: expected digits, .* got 'mnist'"),
        ("digits", {"image_size": 16}, ValueError, "image_size: expected 8.*got 16"),
        ("photos", {"image_size": 0}, ValueError, "image_size: expected 1 to .*got 0"),
        ("photos", {"image_size": 900}, ValueError, "image_size: .* got 900"),
        ("folder:nowhere", {}, FileNotFoundError, "dataset: .* got nowhere"),
    ],
)
def test_bad_names_and_sizes_are_refused(name, options, error, message):
    with pytest.raises(error, match=message):
        load_images(name, **options)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="dataset: expected at least 2 images"):
        load_images(f"folder:{tmp_path}")


def test_data_that_tfds_has_not_prepared_are_explained_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match="cifar10 is not prepared in .*tfds"):
        load_images("cifar10", data_dir=tmp_path)


def test_cifar10_is_read_through_tfds(data_dir):
    data = load_images("cifar10", data_dir=data_dir)
    assert (data.num_train, data.num_test) == (50_000, 10_000)
    batch = next(iter(data.training_batches(32, seed=0)))
    assert batch.shape == (32, 32, 32, 3)
    assert batch.dtype == tf.uint8
    assert batch.numpy().std() > 30


def test_a_missing_package_is_named_with_the_extra_that_brings_it():
    with pytest.raises(ImportError, match=r"a picture needs nonesuch.*\[demo\]"):
        optional.require("nonesuch.module", "a picture", extra="demo")


def test_gaussian_baseline_of_gaussian_pixels_is_their_entropy():
    rng = np.random.default_rng(0)
    pixels = np.clip(rng.normal(128, 20, size=[4000, 4, 4, 1]), 0, 255).astype(np.uint8)
    images = tf.data.Dataset.from_tensor_slices(pixels)
    entropy = 0.5 * np.log2(2 * np.pi * np.e * 20**2)
    bits = gaussian_bits_per_dim(images.take(2000), images.skip(2000))
    assert abs(bits - entropy) < 0.02
