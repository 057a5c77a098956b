import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp
from tfp_realnvp.nets.parts import L2
from tfp_realnvp.nets.resnet import features

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


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_penalty_and_its_gradient_are_those_of_keras(shape, dtype):
    values = np.random.default_rng(0).normal(size=shape)
    found = []
    for regularizer in (L2(0.3), keras.regularizers.L2(0.3)):
        variable = keras.Variable(values, dtype=dtype)
        with tf.GradientTape() as tape:
            penalty = regularizer(variable)
        assert penalty.dtype == dtype
        found.append((penalty, tape.gradient(penalty, variable.value)))
    for actual, expected in zip(*found, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_the_penalty_of_a_scalar_needs_no_axes():
    variable = keras.Variable(2.0)
    graph = tf.function(lambda: L2(0.3)(variable)).get_concrete_function().graph
    assert not {"Range", "Rank", "Sum"} & {op.type for op in graph.get_operations()}


def test_the_penalty_comes_back_from_its_configuration():
    regularizer = keras.regularizers.deserialize(keras.regularizers.serialize(L2(0.3)))
    assert type(regularizer) is L2
    assert float(regularizer.l2) == pytest.approx(0.3)
