import numpy as np
import pytest
from made_up_databases import prepare_imagenet

from tfp_realnvp.data import load_images

COUNTS = {"train": 50, "validation": 7}


def number_of(image, images):
    (found,) = np.flatnonzero((images == image).all(axis=(1, 2, 3)))
    return found


@pytest.mark.parametrize("size", [32, 64])
def test_pixels_are_those_of_the_archives_and_validation_images_are_for_testing(
    tmp_path, size
):
    theirs = prepare_imagenet(tmp_path, size, COUNTS)
    ours = load_images(f"imagenet{size}", data_dir=tmp_path)
    assert ours.event_shape == (size, size, 3)
    assert (ours.train.count, ours.validation.count, ours.test.count) == (45, 5, 7)
    np.testing.assert_array_equal(ours.test.take(7), theirs["validation"])
    parts = [split.take(50) for split in (ours.train, ours.validation)]
    used = [number_of(image, theirs["train"]) for part in parts for image in part]
    assert sorted(used) == list(range(50))


def test_the_first_batch_holds_images_as_they_are_none_twice_none_mirrored(tmp_path):
    theirs = prepare_imagenet(tmp_path, 32, COUNTS)
    ours = load_images("imagenet32", data_dir=tmp_path)
    assert not ours.flips
    batch = next(iter(ours.training_batches(45, seed=0))).numpy()
    assert batch.dtype == np.uint8
    assert (batch.min(), batch.max()) == (0, 255)
    numbers = [number_of(image, theirs["train"]) for image in batch]
    assert len(set(numbers)) == 45
    assert numbers != sorted(numbers)


def test_images_are_decoded_once_and_for_every_size_apart(tmp_path):
    for size in (32, 64):
        prepare_imagenet(tmp_path, size, COUNTS)
        load_images(f"imagenet{size}", data_dir=tmp_path)
    kept = sorted(tmp_path.rglob("*.npy"))
    assert [path.name for path in kept] == [
        f"downsampled_imagenet-{size}x{size}-{split}.npy"
        for size in (32, 64)
        for split in ("train", "validation")
    ]
    np.save(kept[1], np.zeros([7, 32, 32, 3], np.uint8))
    assert not load_images("imagenet32", data_dir=tmp_path).test.take(7).any()


def test_images_that_tfds_has_not_prepared_are_explained_at_once(tmp_path):
    message = (
        "imagenet/64x64 is not prepared in .*64x64.*train_64x64.tar and "
        r"valid_64x64.tar \(11.7 GiB\).*issues/4662.*FOLDER.*python -c .*tfds.builder"
        r"\('downsampled_imagenet/64x64', data_dir='.*'\).download_and_prepare\("
        r"download_config=tfds.download.DownloadConfig\(manual_dir='FOLDER'\)\)\"$"
    )
    with pytest.raises(FileNotFoundError, match=message):
        load_images("imagenet64", data_dir=tmp_path)


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match="image_size: expected 32, .*got 64"):
        load_images("imagenet32", image_size=64)
