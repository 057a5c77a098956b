"""Images by number, and what is known of each stays with it whatever is done."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp.data import ImageSplit

LABELS = np.arange(20, dtype=np.int32)


def in_memory(count=20, labels=None):
    """Images that tell their number."""
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    return ImageSplit.from_array(images, labels)


def drawn(count=20, labels=None):
    """Images that tell their number and have a random pixel."""

    def image(number, seed):
        noise = tf.random.stateless_uniform([], seed, 0, 256, tf.int32)
        number = tf.cast(number, tf.int32)
        return tf.reshape(tf.cast(tf.stack([number, noise]), tf.uint8), [2, 1, 1])

    return ImageSplit.from_function(count, image, labels)


def mapped(folder):
    np.save(folder / "some.npy", np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1))
    return ImageSplit.from_array(np.load(folder / "some.npy", mmap_mode="r"))


def numbers(batches):
    return [int(image[0, 0, 0]) for batch in batches for image in batch.numpy()]


@pytest.mark.parametrize("kind", ["in memory", "drawn", "mapped"])
def test_images_are_returned_by_number_in_a_graph_and_outside(tmp_path, kind):
    makers = {
        "in memory": in_memory,
        "drawn": drawn,
        "mapped": lambda: mapped(tmp_path),
    }
    split = makers[kind]()
    for images in (split.images, tf.function(split.images)):
        found = images(tf.constant([7, 0, 19], tf.int64), tf.zeros([3, 2], tf.int32))
        assert found.dtype == tf.uint8
        np.testing.assert_array_equal(found[:, 0, 0, 0], [7, 0, 19])
    assert [len(batch) for batch in split.batches(6)] == [6, 6, 6, 2]
    assert numbers(split.batches(6)) == list(range(20))
    assert numbers(split.batches(6, limit=7)) == list(range(7))
    assert numbers(split.batches(6, limit=99)) == list(range(20))
    np.testing.assert_array_equal(split.take(99), split.take(20))


def test_an_image_is_drawn_from_its_seed():
    def noise(seeds):
        return drawn().images(tf.zeros([3], tf.int64), tf.constant(seeds))[:, 1, 0, 0]

    first, again, other = noise([[1, 2], [1, 2], [1, 3]]).numpy()
    assert first == again != other


@pytest.mark.parametrize("split", [in_memory(25), drawn(25)])
def test_images_taken_out_are_spread_evenly_and_no_longer_in_the_rest(split):
    rest, taken = split.take_out(5)
    assert numbers(taken.batches(10)) == [0, 5, 10, 15, 20]
    assert numbers(rest.batches(10)) == [i for i in range(25) if i % 5]


@pytest.mark.parametrize(
    ("count", "taken"), [(2, 1), (9, 1), (40, 4), (9_999, 999), (50_000, 1000)]
)
def test_a_tenth_but_at_most_a_thousand_is_taken_out_by_default(count, taken):
    rest, some = drawn(count).take_out()
    assert (rest.count, some.count) == (count - taken, taken)


@pytest.mark.parametrize("count", [0, 20])
def test_taking_out_none_or_all_is_refused(count):
    with pytest.raises(
        ValueError, match=f"count: expected an int from 1 to 19.*{count}"
    ):
        in_memory().take_out(count)


@pytest.mark.parametrize("split", [in_memory(labels=LABELS), drawn(labels=LABELS)])
def test_batches_are_pairs_of_images_and_their_labels(split):
    for chosen in (split, split.select(np.array([7, 0, 19])), *split.take_out(5)):
        for images, labels in chosen.batches(6):
            np.testing.assert_array_equal(images[:, 0, 0, 0], labels)
        np.testing.assert_array_equal(
            chosen.take(2)[:, 0, 0, 0], chosen.take_conditions(2)
        )
    assert labels.dtype == tf.int32
    assert split.unconditional().take_conditions(2) is None


def test_conditions_of_some_images_alone_are_refused():
    with pytest.raises(ValueError, match="conditions: expected one for each of 20"):
        in_memory(labels=LABELS[1:])


@pytest.mark.parametrize("array", [np.zeros([3, 4, 4, 1]), np.zeros([3, 4], np.uint8)])
def test_arrays_of_another_kind_are_refused(array):
    with pytest.raises(ValueError, match=r"array: expected uint8 of shape \(count"):
        ImageSplit.from_array(array)


def test_an_array_is_not_copied_into_the_graph():
    split = ImageSplit.from_array(np.zeros([100_000, 4, 4, 3], np.uint8))
    function = tf.function(split.images).get_concrete_function(
        tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 2], tf.int32)
    )
    assert function.graph.as_graph_def().ByteSize() < 10_000


def test_workers_share_the_batches_by_data():
    policy = in_memory().batches(6).options().experimental_distribute.auto_shard_policy
    assert policy == tf.data.experimental.AutoShardPolicy.DATA
