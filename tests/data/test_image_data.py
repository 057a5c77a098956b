import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp.data import ImageData, ImageSplit


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


def test_half_of_the_images_are_mirrored_where_that_is_allowed():
    mirrored = first(20, data(2000, flips=True).training_batches(100, seed=0))
    assert 0.45 < np.mean(mirrored[..., 0, 1, 0] > 0) < 0.55
    assert np.all((mirrored[..., 0, 0, 0] > 0) ^ (mirrored[..., 0, 1, 0] > 0))
    assert not np.any(mirrored[..., 1, :, 0])
    plain = first(20, data(2000).training_batches(100, seed=0))
    assert not np.any(plain[..., 0, 1, 0])


def test_an_image_is_mirrored_in_some_epochs_and_not_in_others():
    batches = data(flips=True).training_batches(20, seed=0)
    mirrored = np.zeros(21)
    for batch in first(20, batches):
        mirrored[batch.max(axis=(1, 2, 3))] += batch[:, 0, 1, 0] > 0
    assert np.all((mirrored[1:] > 0) & (mirrored[1:] < 20))


def test_other_batches_are_in_order_and_may_be_limited():
    some = data(flips=True)
    for batches in (some.test_batches, some.validation_batches):
        assert numbers(batches(6)) == list(range(1, 21))
        assert numbers(batches(6, limit=7)) == list(range(1, 8))
    assert numbers(some.training_sample(7, 6)) == list(range(1, 8))


def test_workers_do_not_share_out_what_is_a_part_already():
    options = data().training_batches(6, seed=0, num_workers=2).options()
    off = tf.data.experimental.AutoShardPolicy.OFF
    assert options.experimental_distribute.auto_shard_policy == off


@pytest.mark.parametrize("batch_size", [0, 21])
def test_batch_sizes_that_fill_no_batch_are_refused(batch_size):
    message = f"batch_size: expected 1 to 20.*{batch_size}"
    with pytest.raises(ValueError, match=message):
        data().training_batches(batch_size, seed=0)
    with pytest.raises(ValueError, match=message):
        data().steps_per_epoch(batch_size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first_step": -1}, "first_step: expected a non-negative int, got -1"),
        ({"num_workers": 0}, "num_workers: expected an int from 1 to 5, got 0"),
        ({"num_workers": 6}, "num_workers: expected an int from 1 to 5, got 6"),
        ({"num_workers": 2, "worker": 2}, "worker: expected an int from 0 to 1, got 2"),
        ({"worker": -1}, "worker: expected an int from 0 to 0, got -1"),
    ],
)
def test_steps_and_workers_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        data().training_batches(5, seed=0, **arguments)


@pytest.mark.parametrize("purpose", ["train", "validate", "test"])
def test_an_empty_split_is_refused(purpose):
    some = ImageSplit.from_array(np.zeros([1, 2, 2, 1], np.uint8))
    empty = ImageSplit.from_array(np.zeros([0, 2, 2, 1], np.uint8))
    splits = [empty if p == purpose else some for p in ("train", "validate", "test")]
    with pytest.raises(ValueError, match=f"dataset: .* got none to {purpose}"):
        ImageData("some", (2, 2, 1), *splits)
