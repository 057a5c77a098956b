"""Images by number, and batches of them: each image keeps its number and condition."""

import time

import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp.data import ImageData, ImageSplit
from tfp_realnvp.data.image_data import (
    gaussian_bits_per_dim,
    pipeline_images_per_second,
)

SHARDING = tf.data.experimental.AutoShardPolicy


def in_memory(count=20, labels=None):
    """Images that tell their number from 1 on, and whether they are mirrored."""
    images = np.zeros([count, 2, 2, 1], np.uint8)
    images[:, 0, 0, 0] = np.arange(count) % 255 + 1
    return ImageSplit.from_array(images, labels)


def drawn(count=20, labels=None):
    """Images that tell their number and have random pixels."""

    def image(number, seed):
        noise = tf.random.stateless_uniform([3], seed, 0, 256, tf.int32)
        pixels = tf.concat([[tf.cast(number, tf.int32) % 255 + 1], noise], 0)
        return tf.cast(tf.reshape(pixels, [2, 2, 1]), tf.uint8)

    return ImageSplit.from_function(count, image, labels)


def data(split, flips=False, names=None):
    return ImageData("some", (2, 2, 1), split, split, split, flips, names)


def first(count, batches):
    return np.stack(list(batches.take(count).as_numpy_iterator()))


def numbers(batches):
    return [int(image[0, 0, 0]) for batch in batches for image in batch.numpy()]


@pytest.mark.parametrize("kind", ["in memory", "drawn", "mapped"])
def test_images_are_returned_by_number_in_a_graph_and_outside(tmp_path, kind):
    split = drawn() if kind == "drawn" else in_memory()
    if kind == "mapped":
        np.save(tmp_path / "some.npy", split.take(20))
        split = ImageSplit.from_array(np.load(tmp_path / "some.npy", mmap_mode="r"))
    for images in (split.images, tf.function(split.images)):
        found = images(tf.constant([7, 0, 19], tf.int64), tf.zeros([3, 2], tf.int32))
        assert found.dtype == tf.uint8
        np.testing.assert_array_equal(found[:, 0, 0, 0], [8, 1, 20])
    assert [len(batch) for batch in split.batches(6)] == [6, 6, 6, 2]
    policy = split.batches(6).options().experimental_distribute.auto_shard_policy
    assert policy == SHARDING.DATA
    some = data(split, flips=True)
    for batches in (split.batches, some.test_batches, some.validation_batches):
        for limit in (None, 7, 99):
            assert numbers(batches(6, limit=limit)) == [*range(1, 21)][:limit]
    np.testing.assert_array_equal(split.take(99), split.take(20))


def test_an_image_is_drawn_from_its_seed():
    seeds = tf.constant([[1, 2], [1, 2], [1, 3]])
    one, again, other = drawn().images(tf.zeros([3], tf.int64), seeds).numpy()
    assert np.all(one == again) and np.any(one != other)


@pytest.mark.parametrize("make", [in_memory, drawn])
def test_images_taken_out_are_spread_evenly_and_no_longer_in_the_rest(make):
    rest, taken = make(25).take_out(5)
    assert numbers(taken.batches(10)) == [1, 6, 11, 16, 21]
    assert numbers(rest.batches(10)) == [i + 1 for i in range(25) if i % 5]
    for count, tenth in [(2, 1), (9, 1), (40, 4), (9_999, 999), (50_000, 1000)]:
        rest, some = drawn(count).take_out()
        assert (rest.count, some.count) == (count - tenth, tenth)


@pytest.mark.parametrize("make", [in_memory, drawn])
def test_labels_stay_with_their_images(make):
    split = make(labels=np.arange(1, 21, dtype=np.int32))
    for chosen in (split, split.select(np.array([7, 0, 19])), *split.take_out(5)):
        for images, labels in chosen.batches(6):
            assert labels.dtype == tf.int32
            np.testing.assert_array_equal(images[:, 0, 0, 0], labels)
        found = chosen.take(2)[:, 0, 0, 0]
        np.testing.assert_array_equal(found, chosen.take_conditions(2))
    assert split.unconditional().take_conditions(2) is None
    some = data(split, names=tuple("abcdefghijklmnopqrstu"))
    for options in ({}, {"worker": 1, "num_workers": 3}):
        pairs = some.training_batches(10, seed=1, **options).take(4)
        alone = some.unconditional().training_batches(10, seed=1, **options).take(4)
        for (images, labels), same in zip(pairs, alone, strict=True):
            assert len(images) == len(labels) > 0
            np.testing.assert_array_equal(images[:, 0, 0, 0], labels)
            np.testing.assert_array_equal(images, same)


def test_an_array_is_not_copied_into_the_graph():
    split = ImageSplit.from_array(np.zeros([100_000, 4, 4, 3], np.uint8))
    function = tf.function(split.images).get_concrete_function(
        tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 2], tf.int32)
    )
    assert function.graph.as_graph_def().ByteSize() < 10_000


def test_an_epoch_holds_every_image_once_in_an_order_of_its_own():
    batches = data(in_memory()).training_batches(5, seed=0)
    one, two = numbers(batches.take(4)), numbers(batches.skip(4).take(4))
    assert sorted(one) == sorted(two) == list(range(1, 21))
    assert one != two
    # Random images are new in every epoch.
    images = first(8, data(drawn()).training_batches(5, seed=0)).reshape(40, 4)
    assert len(np.unique(images[:, 1:], axis=0)) == 40


@pytest.mark.parametrize("make", [in_memory, drawn])
def test_a_batch_is_a_function_of_seed_and_step(make):
    some = data(make(), flips=True)
    whole = first(8, some.training_batches(5, seed=1))
    np.testing.assert_array_equal(first(8, some.training_batches(5, seed=1)), whole)
    for seed in (2, -1, 1 + 2**32):
        assert np.any(first(8, some.training_batches(5, seed=seed)) != whole)
    # A pipeline started later goes on as one that ran from the start.
    for step in (1, 3, 8, 1_000_003):
        earlier = some.training_batches(6, seed=1, first_step=max(0, step - 5))
        rest = first(9, earlier)[min(step, 5) :]
        resumed = some.training_batches(6, seed=1, first_step=step)
        np.testing.assert_array_equal(first(len(rest), resumed), rest)
    whole = first(4, some.training_batches(8, seed=0))
    for count in (2, 3, 8):
        parts = [
            first(4, some.training_batches(8, seed=0, worker=i, num_workers=count))
            for i in range(count)
        ]
        sizes = [part.shape[1] for part in parts]
        assert max(sizes) - min(sizes) <= 1
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_the_pipeline_never_ends_and_its_batches_are_full_and_not_shared_out():
    batches = data(in_memory()).training_batches(6, seed=0)
    assert batches.cardinality() == tf.data.INFINITE_CARDINALITY
    assert batches.element_spec == tf.TensorSpec([6, 2, 2, 1], tf.uint8)
    assert data(in_memory()).steps_per_epoch(6) == 3
    policy = batches.options().experimental_distribute.auto_shard_policy
    assert policy == SHARDING.OFF


def test_half_of_the_images_are_mirrored_where_that_is_allowed_anew_in_every_epoch():
    batches = data(in_memory(), flips=True).training_batches(20, seed=0)
    images = first(200, batches).reshape(-1, 2, 2, 1)
    mirrored = images[:, 0, 1, 0] > 0
    assert 0.45 < mirrored.mean() < 0.55
    assert np.all((images[:, 0, 0, 0] > 0) ^ mirrored)
    assert not np.any(images[:, 1])
    times = np.bincount(images.max(axis=(1, 2, 3)), weights=mirrored)[1:]
    assert np.all((times > 50) & (times < 150))
    plain = first(20, data(in_memory()).training_batches(20, seed=0))
    assert not np.any(plain[..., 0, 1, 0])


def labelled(*labels):
    return in_memory(len(labels), np.array(labels, np.int32))


THREE = labelled(0, 1, 2), labelled(0, 1, 2)
NAMES = {"condition_names": ("a", "b", "c")}


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ({"batch_size": 0}, "batch_size: expected an int from 1 to 20.*got 0"),
        ({"batch_size": 21}, "batch_size: expected an int from 1 to 20.*got 21"),
        ({"first_step": -1}, "first_step: expected a non-negative int, got -1"),
        ({"num_workers": 6}, "num_workers: expected an int from 1 to 5, got 6"),
        ({"num_workers": 2, "worker": 2}, "worker: expected an int from 0 to 1, got 2"),
        (lambda: in_memory().take_out(0), "count: expected an int from 1 to 19.*0"),
        (lambda: in_memory().take_out(20), "count: expected an int from 1 to 19.*20"),
        (lambda: in_memory(labels=np.arange(19)), "conditions: expected one for each"),
        (lambda: ImageSplit.from_array(np.zeros([3, 4, 4, 1])), "array: .*uint8"),
        (lambda: ImageSplit.from_array(np.zeros([3, 4], np.uint8)), r"array: .*\(3, 4"),
        (labelled(), "dataset: expected test images in 's', got none"),
        (in_memory(), "condition_names: .* and test images without"),
        (labelled(0, -1), "labels from 0 to 2, for 3 classes, got -1"),
        (labelled(0, 3), "labels from 0 to 2, for 3 classes, got 3"),
    ],
)
def test_what_cannot_be_is_refused(use, message):
    ImageData("s", (2, 2, 1), *THREE, labelled(0), **NAMES)
    with pytest.raises(ValueError, match=message):
        if isinstance(use, dict):
            data(in_memory()).training_batches(**{"batch_size": 5, "seed": 0, **use})
        elif isinstance(use, ImageSplit):
            ImageData("s", (2, 2, 1), *THREE, use, **NAMES)
        else:
            use()


def test_fingerprints_tell_other_images_counts_and_labels_apart():
    zeros, ones = np.zeros(20, np.int32), np.ones(20, np.int32)
    other = ImageSplit.from_array(np.ones([20, 2, 2, 1], np.uint8))
    splits = [in_memory(), in_memory(21), other]
    found = [data(split).fingerprint() for split in splits]
    for labels in (zeros, ones):
        found += [data(in_memory(labels=labels), names=("a", "b")).fingerprint()]
    assert len(set(found)) == 5
    assert data(in_memory()).fingerprint() == found[0]


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
