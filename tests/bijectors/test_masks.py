import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp
from tfp_realnvp.bijectors.masks import ChannelSplit, resolve_mask


def test_checkerboard_is_true_where_the_coordinates_sum_to_an_odd_number():
    mask = nvp.checkerboard_mask((3, 4, 2)).numpy()
    odd = np.add.outer(np.arange(3), np.arange(4)) % 2 == 1
    np.testing.assert_array_equal(mask, odd[..., np.newaxis])


def test_a_mask_of_known_size_is_a_constant_and_one_of_unknown_size_the_same():
    known = tf.function(lambda: nvp.checkerboard_mask((3, 4, 2)))
    unknown = tf.function(lambda s: nvp.checkerboard_mask((s[0], s[1], 2)))
    types = {op.type for op in known.get_concrete_function().graph.get_operations()}
    assert types == {"Const", "Identity"}
    np.testing.assert_array_equal(unknown(tf.constant([3, 4])), known())


@pytest.mark.parametrize("mask", [nvp.checkerboard_mask, nvp.channel_mask])
def test_inverted_masks_are_complements(mask):
    shape = (4, 6, 4)
    np.testing.assert_array_equal(mask(shape), ~mask(shape, invert=True).numpy())


def test_diagonal_mask_takes_one_checkerboard_colour_of_each_block():
    image = tf.reshape(tf.range(48), [1, 4, 4, 3])
    squeezed = nvp.Squeeze().forward(tf.cast(image, tf.float32))
    mask = nvp.diagonal_mask((2, 2, 12)).numpy()
    kept = squeezed.numpy()[:, mask.repeat(2, 0).repeat(2, 1)]
    even = ~nvp.checkerboard_mask((4, 4, 3)).numpy()[..., 0]
    assert sorted(kept.ravel()) == sorted(image.numpy()[0][even].ravel())


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones([4, 4, 1]), "mask: expected dtype bool, got float64"),
        (np.ones([3, 4, 1], bool), r"mask: .* \(4, 4, 3\), got \(3, 4, 1\)"),
        (np.ones([1, 4, 4, 3], bool), r"got \(1, 4, 4, 3\)"),
        (lambda shape: np.ones([2], bool), r"got \(2,\)"),
    ],
)
def test_bad_masks_are_refused(mask, message):
    with pytest.raises((TypeError, ValueError), match=message):
        resolve_mask(mask, (4, 4, 3))


MASKS = {
    "two halves": [1, 1, 1, 0, 0, 0],
    "three runs": [0, 1, 1, 0],
    "alternating": [1, 0, 1, 0, 1, 0],
    "alternating, the other way": [0, 1, 0, 1],
    "alternating, an odd number": [1, 0, 1, 0, 1],
    "alternating, an odd number of many": [0, 1] * 7 + [0],
    "alternating, many": [1, 0] * 16,
    "two entries": [0, 1],
    "eight runs": [1, 1, 0, 1, 0, 1, 0, 1, 1, 0],
    "many runs": [1, 1, 0] * 5,
}


@pytest.mark.parametrize("shape", [(), (3,), (3, 2)], ids=str)
@pytest.mark.parametrize("name", MASKS)
def test_split_parts_are_those_the_mask_says_and_merge_to_the_whole(name, shape):
    mask = np.array(MASKS[name], bool)
    split, specified = ChannelSplit(mask), [None] * len(shape)

    @tf.function(input_signature=[tf.TensorSpec([*specified, len(mask)], tf.float64)])
    def parts_and_whole(x):
        kept, changed = split.split(x)
        merged = split.merge(kept, changed)
        sizes = mask.sum(), (~mask).sum(), len(mask)
        for part, size in zip((kept, changed, merged), sizes, strict=True):
            assert part.shape.as_list() == [*specified, size]
        return kept, changed, merged

    x = np.random.default_rng(0).normal(size=(*shape, len(mask)))
    kept, changed, merged = parts_and_whole(x)
    np.testing.assert_array_equal(kept, x[..., mask])
    np.testing.assert_array_equal(changed, x[..., ~mask])
    np.testing.assert_array_equal(merged, x)
