"""Glow's invertible 1x1 convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.event import (
    check_floating,
    checked_event_shape,
    event_shape_from,
)
from tfp_realnvp.bijectors.fused import FusedBijector
from tfp_realnvp.nets.channel_mixing import ChannelMixing


class InvertibleConv(FusedBijector):
    """Mixes the channels of every pixel by one learned, invertible matrix W.

    ```none
    inverse:  x[i, j] = W y[i, j]
    forward:  y[i, j] = W^-1 x[i, j]
    inverse_log_det_jacobian = height * width * log |det W|
    ```

    Before a channel-wise coupling it lets training choose what the coupling passes
    through and what it transforms. At first W is the identity.

    Args:
      event_shape: Sequence of Python `int`s, (height, width, channels). Images of any
        other height and width work too.
      mixing: `ChannelMixing` layer, which holds W; `None` makes a new one.
      validate_args: Python `bool`, as for every `tfb.Bijector`.
      name: Python `str`.

    Raises:
      ValueError: If `event_shape` is not of that kind.

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
        if len(event_shape) != 3:
            raise ValueError(
                "event_shape: expected (height, width, channels), got "
                f"{tuple(event_shape)}."
            )
        with tf.name_scope(name) as name:
            self._event_shape = event_shape
            mixing = mixing or ChannelMixing()
            if not mixing.built:
                mixing.build((None, *event_shape))
            # With the layer among the parameters a copy shares it, and two bijectors
            # made from the same numbers are not taken for equal.
            parameters["mixing"] = mixing
            super().__init__(
                event_ndims=3,
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

    def _checked_event_shape(self, shape: tf.TensorShape, name: str) -> tf.TensorShape:
        return checked_event_shape(shape, name, self._event_shape, any_size=True)

    def _forward_and_log_det(
        self, x: tf.Tensor, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        check_floating("x", x)
        return self._mixing.undo(x), -self._log_det(x)

    def _inverse_and_log_det(
        self, y: tf.Tensor, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        check_floating("y", y)
        return self._mixing(y), self._log_det(y)

    def _log_det(self, value: tf.Tensor) -> tf.Tensor:
        size, height, width, _ = tf.unstack(tf.shape(value))
        log_det = tf.cast(self._mixing.log_abs_det(), value.dtype)
        return tf.fill([size], tf.cast(height * width, value.dtype) * log_det)
