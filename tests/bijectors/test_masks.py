import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp
from tfp_realnvp.bijectors.channel_split import ChannelSplit
from tfp_realnvp.bijectors.masks import resolve_mask


def test_checkerboard_is_true_where_the_coordinates_sum_to_an_odd_number():
    mask = nvp.checkerboard_mask((3, 4, 2)).numpy()
    assert mask.shape == (3, 4, 1)
    for row in range(3):
        for column in range(4):
            assert mask[row, column, 0] == ((row + column) % 2 == 1)


def test_a_mask_of_known_size_is_a_constant_and_one_of_unknown_size_the_same():
    @tf.function
    def known():
        return nvp.checkerboard_mask((3, 4, 2))

    @tf.function
    def unknown(shape):
        return nvp.checkerboard_mask((shape[0], shape[1], 2))

    types = {op.type for op in known.get_concrete_function().graph.get_operations()}
    assert types == {"Const", "Identity"}
    np.testing.assert_array_equal(unknown(tf.constant([3, 4])), known())


@pytest.mark.parametrize("mask", [nvp.checkerboard_mask, nvp.channel_mask])
def test_inverted_masks_are_complements(mask):
    shape = (4, 6, 4)
    np.testing.assert_array_equal(mask(shape), ~mask(shape, invert=True).numpy())


def test_checkerboard_takes_sizes_known_only_when_it_runs():
    @tf.function(input_signature=[tf.TensorSpec([None, None, 3])])
    def mask_of(image):
        height, width = tf.unstack(tf.shape(image)[:2])
        return nvp.checkerboard_mask((height, width, 3))

    expected = nvp.checkerboard_mask((6, 4, 3))
    np.testing.assert_array_equal(mask_of(tf.zeros([6, 4, 3])), expected)


def test_diagonal_mask_takes_one_checkerboard_colour_of_each_block():
    image = tf.reshape(tf.range(48), [1, 4, 4, 3])
    squeezed = nvp.Squeeze().forward(tf.cast(image, tf.float32))
    mask = nvp.diagonal_mask((2, 2, 12)).numpy()
    kept = squeezed.numpy()[:, mask.repeat(2, 0).repeat(2, 1)]
    even = ~nvp.checkerboard_mask((4, 4, 3)).numpy()[..., 0]
    assert sorted(kept.ravel()) == sorted(image.numpy()[0][even].ravel())


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.ones([4, 4, 1]), TypeError, "mask: expected dtype bool, got float64"),
        (
            np.ones([3, 4, 1], bool),
            ValueError,
            r"mask: .* \(4, 4, 3\), got \(3, 4, 1\)",
        ),
        (np.ones([1, 4, 4, 3], bool), ValueError, r"got \(1, 4, 4, 3\)"),
        (lambda shape: np.ones([2], bool), ValueError, r"got \(2,\)"),
    ],
)
def test_bad_masks_are_refused(mask, error, message):
    with pytest.raises(error, match=message):
        resolve_mask(mask, (4, 4, 3))


@pytest.mark.parametrize(
    "mask",
    [
        [True, False],
        [True, True, False, False, True],
        [i % 2 == 0 for i in range(31)],
        [i % 7 < 3 for i in range(40)],
    ],
    ids=["halves", "runs", "comb", "uneven"],
)
def test_channel_split_takes_apart_and_merge_puts_together(mask):
    mask = np.array(mask)
    x = tf.reshape(tf.range(3 * len(mask)), [3, len(mask)])
    split = ChannelSplit(mask)
    kept, changed = split.split(x)
    np.testing.assert_array_equal(kept, x.numpy()[:, mask])
    np.testing.assert_array_equal(changed, x.numpy()[:, ~mask])
    np.testing.assert_array_equal(split.merge(kept, changed), x)
