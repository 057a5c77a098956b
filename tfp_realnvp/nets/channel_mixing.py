"""An invertible matrix over channels."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class ChannelMixing(keras.layers.Layer):
    """Multiplies the channels of every pixel by one learned, invertible matrix.

    ```none
    outputs = W inputs,   W = L U
    ```

    with L unit lower triangular and U upper triangular. The one weight, of shape
    [channels, channels], holds L below its diagonal, U above it, and on it the
    logarithms of U's diagonal, whose sum is log |det W|. At first W is the identity, so
    that a new flow keeps what is where in an image.

    Args:
      **kwargs: Passed to `keras.layers.Layer`.

    #### Example

    ```python
    >>> import tensorflow as tf
    >>> import tfp_realnvp as nvp
    >>> nvp.ChannelMixing()(tf.zeros([2, 8, 8, 12])).shape
    TensorShape([2, 8, 8, 12])

    ```

    #### References

    [1]: Diederik P. Kingma, Prafulla Dhariwal. Glow: Generative Flow with Invertible
         1x1 Convolutions, Section 3.2. https://arxiv.org/abs/1807.03039
    """

    def __init__(self, **kwargs: Any):
        # Under a policy of mixed precision the flow's own numbers stay what they are.
        super().__init__(autocast=False, **kwargs)

    def build(self, inputs_shape: tuple[int | None, ...]) -> None:
        channels = inputs_shape[-1]
        self.input_spec = keras.layers.InputSpec(axes={-1: channels}, name="inputs")
        self.lower_upper = self.add_weight(
            shape=(channels, channels),
            initializer="zeros",
            autocast=False,
            name="lower_upper",
        )
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        lower, upper = self._triangles()
        return _multiply(tf.matmul(lower, upper), inputs)

    def undo(self, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the inputs that were mixed into these outputs."""
        lower, upper = self._triangles()
        identity = tf.eye(lower.shape[0], dtype=lower.dtype)
        inverse = tf.linalg.triangular_solve(lower, identity, lower=True)
        inverse = tf.linalg.triangular_solve(upper, inverse, lower=False)
        return _multiply(inverse, outputs)

    def log_abs_det(self) -> tf.Tensor:
        """Returns log |det W|, a scalar."""
        return tf.linalg.trace(tf.convert_to_tensor(self.lower_upper))

    def _triangles(self) -> tuple[tf.Tensor, tf.Tensor]:
        both = tf.convert_to_tensor(self.lower_upper)
        diagonal = tf.linalg.diag_part(both)
        lower = tf.linalg.band_part(both, -1, 0)
        upper = tf.linalg.band_part(both, 0, -1)
        return (
            tf.linalg.set_diag(lower, tf.ones_like(diagonal)),
            tf.linalg.set_diag(upper, tf.exp(diagonal)),
        )


def _multiply(matrix: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Returns the product of a matrix with the vector of channels at every pixel."""
    rows = tf.reshape(value, [-1, matrix.shape[0]])
    product = tf.matmul(rows, tf.cast(matrix, value.dtype), transpose_b=True)
    outputs = tf.reshape(product, tf.shape(value))
    outputs.set_shape(value.shape)
    return outputs
