"""Glow's invertible 1x1 convolution, and the layer that holds its matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.bijectors.fused import FusedBijector
from tfp_realnvp.bijectors.inputs import (
    event_shape_from,
)


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class ChannelMixing(keras.layers.Layer):
    """Multiplies the channels of every pixel by one learned, invertible matrix.

    ```none
    outputs = W inputs,   W = L U
    ```

    with L unit lower triangular and U upper triangular. The one weight, of shape
    [channels, channels], holds L below its diagonal, U above it, and on it the
    logarithms of U's diagonal, whose sum is log |det W|. W starts as the identity, so
    that a new flow leaves every channel in its place.

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
        # The flow's own values keep their precision under a mixed-precision policy.
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


class InvertibleConv(FusedBijector):
    """Mixes the channels of every pixel by one learned, invertible matrix W.

    ```none
    inverse:  x[i, j] = W y[i, j]
    forward:  y[i, j] = W^-1 x[i, j]
    inverse_log_det_jacobian = height * width * log |det W|
    ```

    Before a channel-wise coupling it lets training choose what the coupling passes
    through and what it transforms. W starts as the identity.

    Args:
      event_shape: Sequence of Python `int`s, (height, width, channels) or any shape
        with channels last. Images of any other height and width work too.
      mixing: `ChannelMixing` layer, which holds W; `None` makes a new one.
      validate_args: Python `bool`, as for every `tfb.Bijector`.
      name: Python `str`.

    Raises:
      ValueError: If `event_shape` is not a shape.

    #### Example

    ```python
    >>> import tensorflow as tf
    >>> import tfp_realnvp as nvp
    >>> conv = nvp.InvertibleConv((4, 4, 12))
    >>> y = tf.random.stateless_normal([2, 4, 4, 12], seed=(0, 1))
    >>> conv.inverse(y).shape
    TensorShape([2, 4, 4, 12])

    ```

    #### References

    [1]: Diederik P. Kingma, Prafulla Dhariwal. Glow: Generative Flow with Invertible
         1x1 Convolutions, Section 3.2. https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        mixing: ChannelMixing | None = None,
        *,
        validate_args: bool = False,
        name: str = "invertible_conv",
    ):
        parameters = dict(locals())
        event_shape = event_shape_from(event_shape)
        with tf.name_scope(name) as name:
            mixing = ChannelMixing() if mixing is None else mixing
            if not mixing.built:
                mixing.build((None, *event_shape))
            # With the layer among the parameters, copies share it, and TFP does not
            # take two bijectors made from the same numbers for equal.
            parameters["mixing"] = mixing
            super().__init__(
                event_ndims=len(event_shape),
                event_shape=event_shape,
                any_size=True,
                is_constant_jacobian=True,
                layers=(mixing,),
                parameters=parameters,
                validate_args=validate_args,
                name=name,
            )
            self._mixing = mixing

    @property
    def mixing(self) -> ChannelMixing:
        """The layer that holds the matrix."""
        return self._mixing

    def _value_and_log_det(
        self, value: tf.Tensor, *, inverse: bool, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        shape = tf.shape(value)
        num_pixels = tf.cast(tf.reduce_prod(shape[1:-1]), value.dtype)
        log_det = num_pixels * tf.cast(self._mixing.log_abs_det(), value.dtype)
        log_det = tf.fill(shape[:1], log_det)
        if inverse:
            return self._mixing(value), log_det
        return self._mixing.undo(value), -log_det


def _multiply(matrix: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Returns the product of a matrix with the vector of channels at every pixel."""
    rows = tf.reshape(value, [-1, matrix.shape[0]])
    product = tf.matmul(rows, tf.cast(matrix, value.dtype), transpose_b=True)
    outputs = tf.reshape(product, tf.shape(value))
    outputs.set_shape(value.shape)
    return outputs
