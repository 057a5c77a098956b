import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp
from tfp_realnvp.nets.features import features, features_shape

HIDDEN = tf.constant([[[[-1.0, 2.0]]]])
MASK = tf.constant([[[[5]]]])


@pytest.mark.parametrize(
    ("context", "crelu", "expected"),
    [
        (None, True, [0, 2, 1, 0]),
        (MASK, True, [0, 2, 1, 0, 5]),
        (None, False, [-1, 2]),
        (MASK, False, [-1, 2, 5]),
    ],
)
def test_both_signs_of_the_input_are_seen_apart_or_together(context, crelu, expected):
    seen = features(HIDDEN, context, crelu)
    np.testing.assert_array_equal(seen[0, 0, 0], expected)
    shape = None if context is None else context.shape
    assert features_shape(HIDDEN.shape, shape, crelu) == seen.shape


@pytest.mark.parametrize(
    ("options", "channels"),
    [({}, [7, 12, 13]), ({"crelu": False}, [4, 6, 7])],
)
def test_all_networks_of_a_flow_see_what_it_was_told(options, channels):
    sizes = {"num_scales": 2, "filters": 9, "num_blocks": 1}
    flow = nvp.RealNVPBijector((4, 4, 3), **options, **sizes)
    kernels = [v.shape for v in flow.trainable_variables if len(v.shape) == 4]
    first = [s[2] for s in kernels if s[:2] == (3, 3) and s[2] not in (9, 18)]
    assert sorted(first) == sorted(
        channels[:1] * 3 + channels[1:2] * 3 + channels[2:] * 4
    )
