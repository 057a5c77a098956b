import math

import pytest
import tensorflow as tf

from tfp_realnvp.serving.assertions import checked_density


def test_a_density_may_be_zero():
    assert checked_density(tf.constant([-math.inf, 2.0])).numpy()[0] == -math.inf


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_density_is_no_answer(value):
    with pytest.raises(tf.errors.InvalidArgumentError, match="log_prob: expected the"):
        checked_density(tf.constant([0.0, value]))
