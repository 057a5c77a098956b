"""The penalty on squares, in one operation."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class L2(keras.regularizers.L2):
    """`keras.regularizers.L2` in a graph of a third of the operations.

    ```none
    penalty = l2 * sum(square(x))
    ```

    Keras's sum of a scalar, such as a gain, makes TensorFlow evaluate its axes while it
    traces, each time with a copy of all that is traced already: for the ten gains of
    the `cifar10` preset that was a tenth of the tracing.

    Args:
      l2: Python `float`, weight of the squares.
    """

    def __call__(self, x: Any) -> tf.Tensor:
        return 2 * self.l2 * tf.nn.l2_loss(tf.convert_to_tensor(x))
