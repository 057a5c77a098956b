"""Trading space for channels."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.event import check_options
from tfp_realnvp.bijectors.fused import FusedBijector


class Squeeze(FusedBijector):
    """Turns each 2 x 2 block of pixels into one pixel with four times the channels.

    ```none
    forward:  y[i, j, (2 a + b) C + c] = x[2 i + a, 2 j + b, c],   a, b in {0, 1}
    ```

    An (H, W, C) event becomes (H/2, W/2, 4C); the log-determinant is 0. The channels
    hold the top left pixel first, then top right, bottom left, bottom right.

    Args:
      validate_args: Python `bool`, as for every `tfb.Bijector`.
      name: Python `str`.

    #### Example

    ```python
    >>> import tensorflow as tf
    >>> import tfp_realnvp as nvp
    >>> nvp.Squeeze().forward(tf.zeros([32, 32, 3])).shape
    TensorShape([16, 16, 12])

    ```

    #### References

    [1]: Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio. Density estimation using
         Real NVP, Section 3.6 and Figure 3. https://arxiv.org/abs/1605.08803
    """

    def __init__(self, *, validate_args: bool = False, name: str = "squeeze"):
        parameters = dict(locals())
        check_options(validate_args, name)
        with tf.name_scope(name) as name:
            super().__init__(
                event_ndims=3,
                is_constant_jacobian=True,
                parameters=parameters,
                validate_args=validate_args,
                name=name,
            )

    @property
    def _is_permutation(self) -> bool:
        return True

    def _forward_and_log_det(
        self, x: tf.Tensor, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        self._forward_event_shape(x.shape[-3:])
        return tf.nn.space_to_depth(x, 2), tf.zeros(tf.shape(x)[:1], x.dtype)

    def _inverse_and_log_det(
        self, y: tf.Tensor, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        self._inverse_event_shape(y.shape[-3:])
        return tf.nn.depth_to_space(y, 2), tf.zeros(tf.shape(y)[:1], y.dtype)

    def _forward_event_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        height, width, channels = _last_three(input_shape)
        for side in (height, width):
            if side is not None and side % 2:
                raise ValueError(
                    "x: expected events (height, width, channels) with even height "
                    f"and width, got {(height, width, channels)}."
                )
        return input_shape[:-3].concatenate(
            [_times(height, 1, 2), _times(width, 1, 2), _times(channels, 4, 1)]
        )

    def _inverse_event_shape(self, output_shape: tf.TensorShape) -> tf.TensorShape:
        height, width, channels = _last_three(output_shape)
        if channels is not None and channels % 4:
            raise ValueError(
                "y: expected events (height, width, channels) with channels divisible "
                f"by 4, got {(height, width, channels)}."
            )
        return output_shape[:-3].concatenate(
            [_times(height, 2, 1), _times(width, 2, 1), _times(channels, 1, 4)]
        )

    def _forward_event_shape_tensor(self, input_shape: tf.Tensor) -> tf.Tensor:
        factors = tf.constant([2, 2, 1], input_shape.dtype)
        event = input_shape[-3:] // factors * [1, 1, 4]
        return tf.concat([input_shape[:-3], event], axis=0)

    def _inverse_event_shape_tensor(self, output_shape: tf.Tensor) -> tf.Tensor:
        factors = tf.constant([1, 1, 4], output_shape.dtype)
        event = output_shape[-3:] // factors * [2, 2, 1]
        return tf.concat([output_shape[:-3], event], axis=0)


def _last_three(shape: tf.TensorShape) -> list[int | None]:
    return [None] * 3 if shape.rank is None else shape[-3:].as_list()


def _times(side: int | None, numerator: int, denominator: int) -> int | None:
    return None if side is None else side * numerator // denominator
