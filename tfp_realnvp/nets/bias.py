"""Adding a bias so that its gradient is right in every dtype."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def add_bias(outputs: tf.Tensor, bias: Any) -> tf.Tensor:
    """Returns `outputs + bias`, for a bias of shape [channels].

    On a CPU the gradient of `tf.nn.bias_add` sums up in the dtype of `outputs`: in
    bfloat16, over 1024 rows, it is off by 20 %. That of a plain sum is not.
    """
    bias = tf.cast(bias, outputs.dtype)
    if outputs.dtype in (tf.float32, tf.float64):
        return tf.nn.bias_add(outputs, bias)
    return outputs + bias
