"""The dense layer of an `MLP`."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfp_realnvp.nets.bias import add_bias


class Dense(keras.layers.Dense):
    """`keras.layers.Dense` whose bias has the right gradient in bfloat16.

    The name is Keras's, for files of weights hold names of classes.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        outputs = tf.matmul(inputs, tf.convert_to_tensor(self.kernel))
        if self.use_bias:
            outputs = add_bias(outputs, self.bias)
        return self.activation(outputs)
