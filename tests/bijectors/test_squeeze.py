import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp


def test_blocks_become_channels_top_left_first():
    image = tf.reshape(tf.range(16.0), [4, 4, 1])
    squeezed = nvp.Squeeze().forward(image)
    expected = [[[0, 1, 4, 5], [2, 3, 6, 7]], [[8, 9, 12, 13], [10, 11, 14, 15]]]
    np.testing.assert_array_equal(squeezed, expected)


def test_channels_of_a_pixel_stay_together():
    image = tf.reshape(tf.range(12.0), [2, 2, 3])
    np.testing.assert_array_equal(
        tf.reshape(nvp.Squeeze().forward(image), [-1]), np.arange(12)
    )


@pytest.mark.parametrize("shape", [(3, 4, 1), (4, 5, 1)])
def test_odd_sides_are_refused(shape):
    with pytest.raises(ValueError, match="x: expected events .* even height and width"):
        nvp.Squeeze().forward(tf.zeros(shape))


def test_channels_that_make_no_block_are_refused():
    with pytest.raises(ValueError, match="y: expected .* channels divisible by 4"):
        nvp.Squeeze().inverse(tf.zeros([2, 2, 6]))


def test_events_of_too_low_rank_are_refused():
    with pytest.raises(ValueError, match="expected events of rank 3"):
        nvp.Squeeze().forward(tf.zeros([4, 4]))
