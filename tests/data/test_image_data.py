import itertools
import time

import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp.data import ImageData, ImageSplit
from tfp_realnvp.data.image_data import (
    gaussian_bits_per_dim,
    pipeline_images_per_second,
)


def data(count=20, flips=False):
    # Every image is told from every other and from its mirror image.
    images = np.zeros([count, 2, 2, 1], np.uint8)
    images[:, 0, 0, 0] = np.arange(count) % 255 + 1
    split = ImageSplit.from_array(images)
    return ImageData("some", (2, 2, 1), split, split, split, flips)


def drawn_data():
    def image(number, seed):
        noise = tf.random.stateless_uniform([2, 2, 1], seed, 0, 256, tf.int32)
        return tf.cast(noise, tf.uint8)

    split = ImageSplit.from_function(20, image)
    return ImageData("drawn", (2, 2, 1), split, split, split, flips=True)


def first(count, batches):
    return np.stack(list(batches.take(count).as_numpy_iterator()))


def numbers(batches):
    return [int(image.max()) for batch in batches for image in batch.numpy()]


def test_an_epoch_holds_every_image_once_in_an_order_of_its_own():
    batches = data().training_batches(5, seed=0)
    one, two = numbers(batches.take(4)), numbers(batches.skip(4).take(4))
    assert sorted(one) == sorted(two) == list(range(1, 21))
    assert one != two


def test_orders_of_successive_epochs_and_seeds_are_unlike():
    # With the 4 rounds of `tf.random.experimental.index_shuffle` they are not.
    count = 50_000
    images = np.arange(count, dtype=np.uint32).view(np.uint8).reshape(count, 2, 2, 1)
    split = ImageSplit.from_array(images)
    some = ImageData("some", (2, 2, 1), split, split, split)

    def order(seed, epoch):
        batches = some.training_batches(count, seed=seed, first_step=epoch)
        return first(1, batches).reshape(count, 4).copy().view(np.uint32)[:, 0]

    orders = [order(seed, epoch) for seed in range(3) for epoch in range(3)]
    orders.append(np.arange(count))
    for one, two in itertools.combinations(orders, 2):
        assert abs(np.corrcoef(one, two)[0, 1]) < 5 / np.sqrt(count)


@pytest.mark.parametrize("some", [data(flips=True), drawn_data()])
def test_the_same_seed_gives_the_same_batches_and_another_seed_others(some):
    def two_epochs(seed):
        return first(8, some.training_batches(5, seed=seed))

    np.testing.assert_array_equal(two_epochs(1), two_epochs(1))
    for other in (2, -1, 1 + 2**32):
        assert np.any(two_epochs(1) != two_epochs(other))


@pytest.mark.parametrize("some", [data(flips=True), drawn_data()])
@pytest.mark.parametrize("step", [1, 3, 8, 1_000_003])
def test_a_pipeline_started_later_goes_on_as_one_that_ran_from_the_start(some, step):
    earlier = some.training_batches(6, seed=1, first_step=max(0, step - 5))
    whole = first(9, earlier)[min(step, 5) :]
    resumed = first(len(whole), some.training_batches(6, seed=1, first_step=step))
    np.testing.assert_array_equal(resumed, whole)


@pytest.mark.parametrize("some", [data(flips=True), drawn_data()])
@pytest.mark.parametrize("num_workers", [2, 3, 8])
def test_the_parts_of_the_workers_are_the_batch_of_a_single_worker(some, num_workers):
    parts = [
        first(
            4, some.training_batches(8, seed=0, worker=worker, num_workers=num_workers)
        )
        for worker in range(num_workers)
    ]
    sizes = [part.shape[1] for part in parts]
    assert max(sizes) - min(sizes) <= 1
    whole = first(4, some.training_batches(8, seed=0))
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_random_images_are_new_in_every_epoch():
    # The noise of 20 images is the same in no two places of two epochs.
    images = first(8, drawn_data().training_batches(5, seed=0)).reshape(40, 4)
    assert len(np.unique(images, axis=0)) == 40


def test_the_pipeline_never_ends_and_its_batches_are_full():
    batches = data().training_batches(6, seed=0)
    assert batches.cardinality() == tf.data.INFINITE_CARDINALITY
    assert batches.element_spec == tf.TensorSpec([6, 2, 2, 1], tf.uint8)
    assert data().steps_per_epoch(6) == 3


def test_half_of_the_images_are_mirrored_where_that_is_allowed_anew_in_every_epoch():
    batches = data(flips=True).training_batches(20, seed=0)
    images = first(200, batches).reshape(-1, 2, 2, 1)
    mirrored = images[:, 0, 1, 0] > 0
    assert 0.45 < mirrored.mean() < 0.55
    assert np.all((images[:, 0, 0, 0] > 0) ^ mirrored)
    assert not np.any(images[:, 1])
    times = np.bincount(images.max(axis=(1, 2, 3)), weights=mirrored)[1:]
    assert np.all((times > 50) & (times < 150))
    plain = first(20, data().training_batches(20, seed=0))
    assert not np.any(plain[..., 0, 1, 0])


def test_other_batches_are_in_order_and_may_be_limited():
    some = data(flips=True)
    for batches in (some.test_batches, some.validation_batches):
        assert numbers(batches(6)) == list(range(1, 21))
        assert numbers(batches(6, limit=7)) == list(range(1, 8))


def test_workers_do_not_share_out_what_is_a_part_already():
    options = data().training_batches(6, seed=0, num_workers=2).options()
    off = tf.data.experimental.AutoShardPolicy.OFF
    assert options.experimental_distribute.auto_shard_policy == off


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size: expected an int from 1 to 20.*got 0"),
        ({"batch_size": 21}, "batch_size: expected an int from 1 to 20.*got 21"),
        ({"first_step": -1}, "first_step: expected a non-negative int, got -1"),
        ({"num_workers": 6}, "num_workers: expected an int from 1 to 5, got 6"),
        ({"num_workers": 2, "worker": 2}, "worker: expected an int from 0 to 1, got 2"),
    ],
)
def test_batches_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        data().training_batches(**{"batch_size": 5, "seed": 0, **arguments})


def labelled(labels=None):
    """Images whose pixels tell their label."""
    labels = np.array(range(20) if labels is None else labels, np.int32)
    images = np.abs(labels).astype(np.uint8).reshape(-1, 1, 1, 1)
    return ImageSplit.from_array(images, labels)


def conditional(flips=False):
    names = tuple("abcdefghijklmnopqrst")
    return ImageData("some", (1, 1, 1), *[labelled()] * 3, flips, names)


@pytest.mark.parametrize("flips", [False, True])
def test_shuffled_images_keep_their_labels_on_every_worker(flips):
    for options in ({}, {"worker": 1, "num_workers": 3}):
        batches = conditional(flips).training_batches(10, seed=1, **options)
        for images, labels in batches.take(5):
            assert len(images) == len(labels) > 0
            np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


def test_labels_do_not_change_which_images_a_batch_holds():
    pairs = conditional().training_batches(6, seed=1).take(4)
    alone = conditional().unconditional().training_batches(6, seed=1).take(4)
    for (images, _), same in zip(pairs, alone, strict=True):
        np.testing.assert_array_equal(images, same)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (labelled([]), "dataset: expected test images in 'some', got none"),
        (labelled().unconditional(), "condition_names: .* and test images without"),
        (labelled([0, -1]), "labels from 0 to 2, for 3 classes, got -1"),
        (labelled([0, 3]), "labels from 0 to 2, for 3 classes, got 3"),
    ],
)
def test_splits_that_do_not_fit_are_refused(split, message):
    good, names = labelled([0, 1, 2]), ("a", "b", "c")
    ImageData("some", (1, 1, 1), good, good, good, condition_names=names)
    with pytest.raises(ValueError, match=message):
        ImageData("some", (1, 1, 1), good, good, split, condition_names=names)


def test_fingerprints_tell_other_images_counts_and_labels_apart():
    def fingerprint(count=20, first=0, labels=None):
        images = np.full([count, 1, 1, 1], first, np.uint8)
        split = ImageSplit.from_array(images, labels)
        names = None if labels is None else ("a", "b")
        some = ImageData("s", (1, 1, 1), split, split, split, condition_names=names)
        return some.fingerprint()

    zeros, ones = np.zeros(20, np.int32), np.ones(20, np.int32)
    assert fingerprint() == fingerprint()
    found = [fingerprint(), fingerprint(21), fingerprint(first=1)]
    found += [fingerprint(labels=zeros), fingerprint(labels=ones)]
    assert len(set(found)) == 5


def test_gaussian_baseline_is_the_entropy_of_pixels_with_their_noise():
    pixels = np.zeros([40, 4, 4, 1], np.uint8)
    pixels[::2] = 6
    split = ImageSplit.from_array(pixels)
    entropy = 0.5 * np.log2(2 * np.pi * np.e * (9 + 1 / 12))
    np.testing.assert_allclose(gaussian_bits_per_dim(split, split), entropy, rtol=1e-9)
    other = ImageSplit.from_array(pixels + np.uint8(3))
    away = 0.5 * 9 / (9 + 1 / 12) / np.log(2)
    found = gaussian_bits_per_dim(split, other)
    np.testing.assert_allclose(found, entropy + away, rtol=1e-9)


@pytest.mark.parametrize(
    ("count", "limit"), [(3, {"seconds": 0.4}), (1000, {"seconds": 30.0, "most": 3})]
)
def test_a_slow_pipeline_is_measured_even_if_it_ends(count, limit):
    def batches():
        for _ in range(count):
            time.sleep(0.05)
            yield [0] * 10

    slow = tf.data.Dataset.from_generator(
        batches, output_signature=tf.TensorSpec([10], tf.int32)
    )
    start = time.perf_counter()
    assert 20 < pipeline_images_per_second(slow, 10, **limit) < 201
    assert time.perf_counter() - start < 15
