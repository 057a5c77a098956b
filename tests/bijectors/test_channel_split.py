import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp.bijectors.masks import ChannelSplit

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
def test_parts_are_those_the_mask_says_and_merge_to_the_whole(name, shape):
    mask = np.array(MASKS[name], bool)
    split = ChannelSplit(mask)
    x = np.random.default_rng(0).normal(size=(*shape, len(mask)))
    kept, changed = split.split(tf.constant(x))
    np.testing.assert_array_equal(kept, x[..., mask])
    np.testing.assert_array_equal(changed, x[..., ~mask])
    np.testing.assert_array_equal(split.merge(kept, changed), x)


@pytest.mark.parametrize("name", MASKS)
def test_shapes_are_known_in_a_graph_as_far_as_those_of_the_input(name):
    mask = np.array(MASKS[name], bool)
    split = ChannelSplit(mask)

    @tf.function(input_signature=[tf.TensorSpec([None, 3, len(mask)])])
    def split_and_merge(x):
        kept, changed = split.split(x)
        assert kept.shape.as_list() == [None, 3, mask.sum()]
        assert changed.shape.as_list() == [None, 3, (~mask).sum()]
        merged = split.merge(kept, changed)
        assert merged.shape.as_list() == [None, 3, len(mask)]
        return merged

    x = tf.random.normal([2, 3, len(mask)])
    np.testing.assert_array_equal(split_and_merge(x), x)
