"""Labels and attributes stay with their images, whatever is done to these."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tfp_realnvp.data import ImageData, ImageSplit, load_images
from tfp_realnvp.runs.run_config import RunConfig


def labelled(count=20):
    """Images whose pixels tell their label."""
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    return ImageSplit.from_array(images, np.arange(count, dtype=np.int32))


def drawn(count=20):
    def image(number, seed):
        return tf.cast(tf.reshape(number, [1, 1, 1]), tf.uint8)

    return ImageSplit.from_function(count, image, np.arange(count, dtype=np.int32))


def data(split, flips=False):
    names = tuple(str(i) for i in range(split.count))
    return ImageData("some", (1, 1, 1), split, split, split, flips, names)


@pytest.mark.parametrize("split", [labelled(), drawn()])
def test_batches_are_pairs_of_images_and_their_labels(split):
    for chosen in (split, split.select(np.array([7, 0, 19])), *split.take_out(5)):
        for images, labels in chosen.batches(6):
            np.testing.assert_array_equal(images[:, 0, 0, 0], labels)
    assert labels.dtype == tf.int32


def test_images_are_taken_without_their_labels_and_labels_alone():
    chosen = labelled().select(np.array([7, 0, 19]))
    np.testing.assert_array_equal(chosen.take(2)[:, 0, 0, 0], [7, 0])
    np.testing.assert_array_equal(chosen.take_conditions(2), [7, 0])
    assert labelled().unconditional().take_conditions(2) is None


@pytest.mark.parametrize("flips", [False, True])
def test_shuffled_images_keep_their_labels_on_every_worker(flips):
    whole = data(labelled(), flips)
    for options in ({}, {"worker": 1, "num_workers": 3}):
        batches = whole.training_batches(10, seed=1, **options)
        for images, labels in batches.take(5):
            assert len(images) == len(labels) > 0
            np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


def test_labels_do_not_change_which_images_a_batch_holds():
    whole = data(labelled())
    pairs = whole.training_batches(6, seed=1).take(4)
    alone = whole.unconditional().training_batches(6, seed=1).take(4)
    for (images, _), same in zip(pairs, alone, strict=True):
        np.testing.assert_array_equal(images, same)


def test_digits_come_with_their_classes():
    digits = load_images("digits", conditional=True)
    assert digits.condition_size == 10
    means = [
        digits.train.take(9999)[digits.train.take_conditions(9999) == i].mean(axis=0)
        for i in range(10)
    ]
    # The class whose mean image is nearest is most often the digit's own.
    distances = np.square(digits.test.take(300)[None] - np.stack(means)[:, None])
    nearest = distances.sum(axis=(2, 3, 4)).argmin(axis=0)
    assert np.mean(nearest == digits.test.take_conditions(300)) > 0.8
    assert load_images("digits").condition_names is None


def test_faces_come_with_their_attributes():
    with tfds.testing.mock_data(num_examples=3):
        faces = load_images("celeb_a", conditional=True)
        example = next(iter(tfds.load("celeb_a", split="train")))
    assert faces.condition_size == 40
    attributes = dict(
        zip(faces.condition_names, faces.train.conditions[0], strict=True)
    )
    assert attributes == {k: bool(v) for k, v in example["attributes"].items()}
    assert len(set(attributes.values())) == 2


def test_cifar10_images_have_their_own_classes(data_dir):
    cifar10 = load_images("cifar10", data_dir=data_dir, conditional=True)
    assert cifar10.condition_size == 10
    ours = cifar10.test.batches(1, limit=50)
    theirs = tfds.load("cifar10", split="test[:50]", data_dir=data_dir, download=False)
    for (images, labels), example in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(images[0], example["image"])
        assert int(labels[0]) == int(example["label"])


@pytest.mark.parametrize("name", ["photos", "imagenet64"])
def test_data_without_classes_are_refused_for_a_conditional_flow_unread(name):
    with pytest.raises(ValueError, match=f"conditional: expected False.*'{name}'"):
        load_images(name, conditional=True)


def test_a_run_with_another_number_of_classes_than_the_data_is_refused():
    flow = {"event_shape": (8, 8, 1), "condition_size": 7}
    config = RunConfig("digits", flow, 64, 1, 1e-3, 0)
    with pytest.raises(ValueError, match="condition_size: expected 10.*got 7"):
        config.load_data()


def test_conditions_of_some_images_alone_are_refused():
    with pytest.raises(ValueError, match="conditions: expected one for each of 3"):
        ImageSplit.from_array(np.zeros([3, 1, 1, 1], np.uint8), np.zeros(2, np.int32))
    with pytest.raises(ValueError, match="condition_names: .*those to test without"):
        ImageData(
            "some",
            (1, 1, 1),
            labelled(),
            labelled(),
            labelled().unconditional(),
            condition_names=tuple("abcdefghijklmnopqrst"),
        )


@pytest.mark.parametrize("label", [-1, 3, 255])
def test_labels_that_are_none_of_the_classes_are_refused(label):
    images = np.zeros([2, 1, 1, 1], np.uint8)
    good, bad = (
        ImageSplit.from_array(images, np.array([0, i], np.int32)) for i in (2, label)
    )
    names = ("a", "b", "c")
    ImageData("some", (1, 1, 1), good, good, good, condition_names=names)
    with pytest.raises(ValueError, match=f"labels from 0 to 2.*got {label}"):
        ImageData("some", (1, 1, 1), good, good, bad, condition_names=names)
