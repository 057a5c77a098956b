import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp.data import ImageData


def data(count=20, flips=False):
    # Every image is told from every other and from its mirror image.
    images = np.zeros([count, 2, 2, 1], np.uint8)
    images[:, 0, 0, 0] = np.arange(1, count + 1)
    dataset = tf.data.Dataset.from_tensor_slices(images)
    return ImageData("some", (2, 2, 1), dataset, dataset, count, count, flips)


def numbers(batches):
    return [int(image.max()) for batch in batches for image in batch.numpy()]


def test_an_epoch_holds_every_image_once_in_an_order_of_its_own():
    batches = data().training_batches(5, seed=0)
    first, second = numbers(batches), numbers(batches)
    assert sorted(first) == sorted(second) == list(range(1, 21))
    assert first != second


def test_the_same_seed_gives_the_same_batches_and_another_seed_others():
    def two_epochs(seed):
        batches = data(flips=True).training_batches(5, seed=seed)
        return np.stack([batch for _ in range(2) for batch in batches])

    np.testing.assert_array_equal(two_epochs(1), two_epochs(1))
    assert np.any(two_epochs(1) != two_epochs(2))


def test_the_last_batch_is_left_out_if_it_is_not_full():
    assert len(numbers(data().training_batches(6, seed=0))) == 18


def test_half_of_the_images_are_mirrored_where_that_is_allowed():
    batches = data(2000, flips=True).training_batches(100, seed=0)
    mirrored = np.concatenate([batch[:, 0, 1, 0] > 0 for batch in batches])
    assert 0.45 < mirrored.mean() < 0.55
    batches = data(2000).training_batches(100, seed=0)
    assert not any(np.any(batch[:, 0, 1, 0] > 0) for batch in batches)


def test_test_batches_are_in_order_and_may_be_limited():
    assert numbers(data().test_batches(6)) == list(range(1, 21))
    assert numbers(data().test_batches(6, limit=7)) == list(range(1, 8))


@pytest.mark.parametrize("batch_size", [0, 21])
def test_batch_sizes_that_fill_no_batch_are_refused(batch_size):
    with pytest.raises(ValueError, match=f"batch_size: expected 1 to 20.*{batch_size}"):
        data().training_batches(batch_size, seed=0)


def test_an_empty_data_set_is_refused():
    empty = tf.data.Dataset.from_tensor_slices(np.zeros([0, 2, 2, 1], np.uint8))
    with pytest.raises(ValueError, match="dataset: .* got none to train"):
        ImageData("some", (2, 2, 1), empty, empty, 0, 0)
