"""Trading space for channels."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

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

    def _value_and_log_det(
        self, value: tf.Tensor, *, inverse: bool, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        move = tf.nn.depth_to_space if inverse else tf.nn.space_to_depth
        return move(value, 2), tf.zeros(tf.shape(value)[:1], value.dtype)

    def _forward_event_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        if input_shape.rank is None:
            return input_shape
        *outer, height, width, channels = input_shape.as_list()
        halves = [side and side // 2 for side in (height, width)]
        return tf.TensorShape([*outer, *halves, channels and 4 * channels])

    def _inverse_event_shape(self, output_shape: tf.TensorShape) -> tf.TensorShape:
        if output_shape.rank is None:
            return output_shape
        *outer, height, width, channels = output_shape.as_list()
        doubles = [side and 2 * side for side in (height, width)]
        return tf.TensorShape([*outer, *doubles, channels and channels // 4])

    def _forward_event_shape_tensor(self, input_shape: tf.Tensor) -> tf.Tensor:
        event = input_shape[-3:] // [2, 2, 1] * [1, 1, 4]
        return tf.concat([input_shape[:-3], event], axis=0)

    def _inverse_event_shape_tensor(self, output_shape: tf.Tensor) -> tf.Tensor:
        event = output_shape[-3:] // [1, 1, 4] * [2, 2, 1]
        return tf.concat([output_shape[:-3], event], axis=0)
