import hashlib

import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
import tensorflow_datasets as tfds
from made_up import places, png_of, prepare_imagenet, write_folder

from tfp_realnvp import arguments
from tfp_realnvp.data import load_images
from tfp_realnvp.runs.run_config import RunConfig

IMAGENET = {"train": 50, "validation": 7}


def splits(data):
    return data.train, data.validation, data.test


def counts(data):
    return [split.count for split in splits(data)]


@pytest.mark.parametrize(
    ("name", "options", "counts", "checksum", "batch"),
    [
        ("digits", {"conditional": True}, "1348 + 149 + 300", "a4c26e59", "0d9521e9fe"),
        ("photos", {"image_size": 24}, "4096 + 256 + 512", "c973622b", "e5ec85f99b"),
    ],
)
def test_runs_of_earlier_versions_go_on_with_the_same_batches(
    name, options, counts, checksum, batch
):
    data = load_images(name, **options)
    assert data.fingerprint() == f"{counts} images of {name}, checksum {checksum}"
    for split in splits(data):
        images = split.take(split.count)
        assert images.dtype == np.uint8
        assert images.shape == (split.count, *data.event_shape)
    batches = data.unconditional().training_batches(11, seed=3, first_step=7)
    images = next(iter(batches)).numpy()
    contents = images.tobytes() + str(images.shape).encode()
    assert hashlib.blake2b(contents, digest_size=8).hexdigest()[:10] == batch


def test_digits_are_scikit_learns_spread_over_256_values():
    data = load_images("digits", conditional=True)
    assert load_images("digits").condition_names is None
    theirs = sklearn.datasets.load_digits()
    rest = np.delete(np.arange(1797), np.s_[::6])
    validation = np.arange(149) * len(rest) // 149
    expected = np.delete(rest, validation), rest[validation], np.arange(1797)[::6]
    for split, numbers in zip(splits(data), expected, strict=True):
        levels = theirs.images[numbers]
        np.testing.assert_array_equal(split.conditions, theirs.target[numbers])
        pixels = split.take(split.count)[..., 0].astype(int)
        # A pixel's values, one wide, reach into the range of its grey level.
        assert np.all((pixels + 1) * 17 / 256 > levels)
        assert np.all(pixels * 17 / 256 < levels + 1)
    number, seeds = tf.zeros([2], tf.int64), tf.constant([[0, 1], [0, 2]])
    one, two = data.train.images(number, seeds).numpy().astype(int)
    assert 0 < np.abs(one - two).max() <= 256 / 17 + 1


def test_photo_crops_come_from_the_photographs_and_splits_do_not_overlap():
    data = load_images("photos", image_size=16)
    photos = sklearn.datasets.load_sample_images().images

    edges = [(0, 400), (400, 480), (480, 640)]
    for split, (start, end) in zip(splits(data), edges, strict=True):
        for crop in split.take(5):
            found = [left for photo in photos for _, left in places(crop, photo)]
            assert found and start <= min(found) <= max(found) <= end - 16
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
        ("imagenet32", {"image_size": 64}, ValueError, "image_size: expected 32.*64"),
        ("photos", {"image_size": 0}, ValueError, "image_size: .* 1 to 80, got 0"),
        ("photos", {"image_size": 81}, ValueError, "image_size: .* 1 to 80, got 81"),
        ("celeb_a", {"image_size": 149}, ValueError, "image_size: .* 1 to 148, got"),
        ("lsun_tower", {"image_size": 97}, ValueError, "image_size: .* 1 to 96, got"),
        ("folder:nowhere", {}, FileNotFoundError, "dataset: .* got nowhere"),
        ("folder:", {}, ValueError, "dataset: expected folder:PATH, got 'folder:'"),
        ("folder:.", {"labels": "a.csv"}, ValueError, "labels: expected conditional"),
        ("folder:.", {"channels": 2}, ValueError, "channels: expected 1 or 3, got 2"),
        ("folder:.", {"crop": "corner"}, ValueError, 'crop: expected "center", "ran'),
        ("folder:.", {"image_size": 0}, ValueError, "image_size: expected a positive"),
        ("digits", {"channels": 3}, ValueError, "channels: .* folder:PATH only"),
        ("digits", {"crop": "none"}, ValueError, "crop: .* folder:PATH only"),
        ("digits", {"skip_damaged": True}, ValueError, "skip_damaged: .* only"),
        ("digits", {"augment": "turn"}, ValueError, "augment: expected"),
        ("photos", {"conditional": True}, ValueError, "conditional: expected False"),
    ],
)
def test_bad_names_and_sizes_are_refused(name, options, error, message):
    with pytest.raises(error, match=message):
        load_images(name, **options)


def test_a_folder_may_have_moved_and_images_are_mirrored_where_the_user_says_so(
    tmp_path,
):
    write_folder(tmp_path / "a", {f"{i}.png": png_of(i) for i in range(9)})
    before = load_images(f"folder:{tmp_path / 'a'}")
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(FileNotFoundError, match="expected a folder of images"):
        load_images(before.name)
    after = load_images(before.name, data_dir=tmp_path / "b", augment="flip")
    assert after.fingerprint() == before.fingerprint()
    assert (before.flips, after.flips) == (False, True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar10", "cifar10 is not prepared in .*cifar10.*163 MiB:"),
        ("celeb_a", "celeb_a is not prepared.*Google Drive.*manual_dir"),
        ("imagenet64", r"64x64 is .* valid_64x64.tar \(11.7 GiB\).*4662.*FOLDER"),
    ],
)
def test_data_that_tfds_has_not_prepared_are_explained_at_once(tmp_path, name, message):
    command = r"python -c .*\('.*', data_dir='.*'\).download_and_prepare\(.*\)\"$"
    with pytest.raises(FileNotFoundError, match=f"{message}.* {command}"):
        load_images(name, data_dir=tmp_path)


def test_cifar10_is_read_with_its_classes_and_no_image_is_in_two_splits(data_dir):
    data = load_images("cifar10", data_dir=data_dir, conditional=True)
    assert counts(data) == [49_000, 1_000, 10_000]
    # CIFAR-10 has no image twice.
    images = {image.tobytes() for s in splits(data) for image in s.take(s.count)}
    assert len(images) == 60_000
    theirs = tfds.load("cifar10", split="test[:50]", data_dir=data_dir, download=False)
    for (images, labels), example in zip(data.test.batches(1), theirs, strict=False):
        np.testing.assert_array_equal(images[0], example["image"])
        assert int(labels[0]) == int(example["label"])
    batches = data.unconditional().training_batches(400, seed=0)
    images = next(iter(batches)).numpy()
    theirs = tfds.load("cifar10", split="train", data_dir=data_dir, download=False)
    stored = {example["image"].tobytes() for example in theirs.as_numpy_iterator()}
    plain, mirrored = (
        [image.tobytes() in stored for image in way]
        for way in (images, images[:, :, ::-1])
    )
    assert all(np.logical_xor(plain, mirrored))
    assert 150 < sum(mirrored) < 250


def test_faces_are_cropped_and_scaled_and_come_with_their_attributes():
    with tfds.testing.mock_data(num_examples=3):
        data = load_images("celeb_a", image_size=37, conditional=True)
        example = next(iter(tfds.load("celeb_a", split="train")))
        whole = load_images("celeb_a")
    assert whole.training_batches(2, seed=0).element_spec.shape == [2, 64, 64, 3]
    assert data.flips and counts(data) == [3, 3, 3]
    # 37 divides 148, where scaling is the mean of 4 x 4 pixels.
    photo = example["image"].numpy().astype(float)
    crop = photo[35:183, 15:163].reshape(37, 4, 37, 4, 3)
    np.testing.assert_array_equal(data.train.take(1)[0], crop.mean((1, 3)).round())
    found = dict(zip(data.condition_names, data.train.conditions[0], strict=True))
    assert found == {k: bool(v) for k, v in example["attributes"].items()}
    assert len(set(found.values())) == 2


@pytest.mark.parametrize("size", [32, 64])
def test_imagenet_is_as_in_its_archives_and_its_validation_images_are_for_testing(
    tmp_path, size
):
    theirs = prepare_imagenet(tmp_path, size, IMAGENET)
    ours = load_images(f"imagenet{size}", data_dir=tmp_path)
    assert not ours.flips
    assert (ours.event_shape, counts(ours)) == ((size, size, 3), [45, 5, 7])
    np.testing.assert_array_equal(ours.test.take(7), theirs["validation"])

    def numbers(images):
        same = (theirs["train"] == images[:, None]).all(axis=(2, 3, 4))
        return np.argwhere(same)[:, 1].tolist()

    train, validation = numbers(ours.train.take(50)), numbers(ours.validation.take(50))
    assert sorted([*train, *validation]) == list(range(50))
    batch = numbers(next(iter(ours.training_batches(45, seed=0))).numpy())
    assert sorted(batch) == sorted(train) and batch != train
    kept = sorted(tmp_path.rglob("*.npy"))
    assert [path.name for path in kept] == [
        f"downsampled_imagenet-{size}x{size}-{split}.npy" for split in IMAGENET
    ]
    # They are read from there the next time.
    np.save(kept[1], np.zeros([7, size, size, 3], np.uint8))
    assert not load_images(f"imagenet{size}", data_dir=tmp_path).test.take(7).any()


def test_a_run_with_another_number_of_classes_than_the_data_is_refused():
    flow = {"event_shape": (8, 8, 1), "condition_size": 7}
    config = RunConfig("digits", flow, 64, 1, 1e-3, 0)
    with pytest.raises(ValueError, match="condition_size: expected 10.*got 7"):
        config.load_data()
    with pytest.raises(ImportError, match=r"a picture needs nonesuch.*\[demo\]"):
        arguments.require("nonesuch.module", "a picture", extra="demo")
