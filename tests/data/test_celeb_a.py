import io
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from tfp_realnvp.data import load_images


def test_faces_that_tfds_imitates_are_cropped_and_scaled():
    with tfds.testing.mock_data(num_examples=3):
        data = load_images("celeb_a", image_size=37)
        photo = next(iter(tfds.load("celeb_a", split="train")))["image"].numpy()
    assert data.event_shape == (37, 37, 3)
    assert data.flips
    assert [s.count for s in (data.train, data.validation, data.test)] == [3, 3, 3]
    # 37 divides 148, where scaling is the mean of 4 x 4 pixels.
    crop = photo[35:183, 15:163].astype(float).reshape(37, 4, 37, 4, 3)
    np.testing.assert_array_equal(data.train.take(1)[0], crop.mean((1, 3)).round())


def test_faces_are_64_pixels_wide_by_default():
    with tfds.testing.mock_data(num_examples=3):
        batches = load_images("celeb_a").training_batches(2, seed=0)
    assert batches.element_spec == tf.TensorSpec([2, 64, 64, 3], tf.uint8)


@pytest.mark.parametrize("image_size", [0, 149])
def test_sizes_beyond_the_crop_are_refused(image_size):
    with pytest.raises(
        ValueError, match=f"image_size: expected 1 to 148.*{image_size}"
    ):
        load_images("celeb_a", image_size=image_size)


def test_faces_that_tfds_has_not_prepared_are_explained_at_once(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match="celeb_a is not prepared.*Google Drive.*manual_dir.*python -c .*"
        "tfds.builder\\('celeb_a', data_dir='.*'\\).download_and_prepare\\(\\)\"$",
    ):
        load_images("celeb_a", data_dir=tmp_path)


def prepared(data_dir):
    if not (pathlib.Path(data_dir) / "celeb_a").is_dir():
        pytest.skip("needs celeb_a, or its stand-in, among the prepared TFDS data")
    return data_dir


def test_the_first_batch_holds_faces_half_of_them_mirrored(data_dir):
    faces = load_images("celeb_a", data_dir=prepared(data_dir), image_size=37)
    size = min(faces.train.count, 400)
    batch = next(iter(faces.training_batches(size, seed=0))).numpy().astype(float)
    files = tfds.load(
        "celeb_a",
        split="train",
        data_dir=data_dir,
        download=False,
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    found = []
    for example in files.take(60):
        photo = np.asarray(Image.open(io.BytesIO(example["image"].numpy())), float)
        assert photo.shape == (218, 178, 3)
        crop = photo[35:183, 15:163].reshape(37, 4, 37, 4, 3).mean((1, 3))
        # TensorFlow decodes JPEG less exactly than Pillow, which makes a difference of
        # 1; the crop a row further down makes one of 3.
        plain, mirrored = (
            np.abs(batch - way).mean((1, 2, 3)) < 2 for way in (crop, crop[:, ::-1])
        )
        assert plain.sum() + mirrored.sum() <= 1
        found.append((plain.sum(), mirrored.sum()))
    plain, mirrored = np.sum(found, axis=0)
    assert plain + mirrored > 60 * size / faces.train.count / 2
    assert 0.25 < mirrored / (plain + mirrored) < 0.75


def test_prepared_faces_are_read_in_their_own_three_splits(data_dir):
    data = load_images("celeb_a", data_dir=prepared(data_dir), image_size=32)
    splits = data.train, data.validation, data.test
    info = tfds.builder("celeb_a", data_dir=data_dir).info.splits
    counts = [info[name].num_examples for name in ("train", "validation", "test")]
    assert [split.count for split in splits] == counts
    images = [{image.tobytes() for image in split.take(500)} for split in splits]
    assert len(set.union(*images)) == sum(min(count, 500) for count in counts)
    assert data.test.take(50).std() > 30
