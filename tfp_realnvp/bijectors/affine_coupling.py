"""The masked affine coupling layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.bijectors.coupling import Coupling, described
from tfp_realnvp.bijectors.masks import Mask


class AffineCoupling(Coupling):
    """Scales and shifts one part of an event as a function of the other.

    With the mask `b` (1 where an entry passes through) and a network that computes
    shift `t` and log-scale `s` (Eq. 7-9):

    ```none
    forward:  y = b * x + (1 - b) * (x * exp(s(b * x)) + t(b * x))
    inverse:  x = b * y + (1 - b) * (y - t(b * y)) * exp(-s(b * y))
    forward_log_det_jacobian = sum((1 - b) * s(b * x))
    ```

    The network's inputs are those described in `Coupling`. It returns a pair of
    `Tensor`s, each of the shape of the transformed part.

    Args:
      event_shape: Sequence of Python `int`s, shape of an event. If `mask` is a
        function and the network accepts them, events of other sizes work too.
      network: Keras layer, called as `network(inputs, training=...)`, that returns
        the pair shift, log_scale. `ShiftAndLogScale(ResNet(...))` is one.
      mask: Boolean array that broadcasts against the event, `True` where it passes
        through unchanged, or a function from event shape to such an array.
      condition_size: Python `int`, number of classes or length of the vectors of the
        argument `condition`, see `FusedBijector`; `None` for an unconditional one.
      validate_args: Python `bool`, as for every `tfb.Bijector`.
      name: Python `str`.

    Raises:
      TypeError: If `mask` is not boolean, or `network` is not a Keras
        layer.
      ValueError: If `event_shape` is not a shape, if `mask` does not fit it, or is all
        `True` or all `False`, or if there is a `condition_size` and `network` takes
        no condition.

    #### Example

    ```python
    >>> import tensorflow as tf
    >>> import tfp_realnvp as nvp
    >>> coupling = nvp.AffineCoupling(
    ...     (8, 8, 3),
    ...     nvp.ShiftAndLogScale(nvp.ResNet(6, filters=8, num_blocks=1)),
    ...     nvp.checkerboard_mask,
    ... )
    >>> y = coupling.forward(tf.zeros([2, 8, 8, 3]))
    >>> coupling.inverse_log_det_jacobian(y).shape
    TensorShape([2])

    ```

    #### References

    [1]: Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio. Density estimation using
         Real NVP, Sections 3.2-3.4. https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        network: keras.layers.Layer,
        mask: Mask,
        *,
        condition_size: int | None = None,
        validate_args: bool = False,
        name: str = "affine_coupling",
    ):
        parameters = dict(locals())
        self._set_up(parameters)

    def _change(
        self,
        changed: tf.Tensor,
        outputs: Any,
        mask: tf.Tensor | None,
        *,
        inverse: bool,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        shift, log_scale = self._shift_and_log_scale(changed, outputs, mask)
        return self._affine(changed, shift, log_scale, inverse=inverse)

    def _shift_and_log_scale(
        self, changed: tf.Tensor, outputs: Any, mask: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if not isinstance(outputs, (tuple, list)) or len(outputs) != 2:
            raise ValueError(
                "network: expected one that returns the pair (shift, log_scale), got "
                f"{described(outputs)} from {self._network.name!r}. ShiftAndLogScale "
                "makes two of one."
            )
        for name, output in zip(("shift", "log_scale"), outputs, strict=True):
            if not changed.shape.is_compatible_with(output.shape):
                raise ValueError(
                    f"network: expected a {name} of shape {tuple(changed.shape)}, got "
                    f"{tuple(output.shape)} from {self._network.name!r}."
                )
        shift, log_scale = (tf.cast(output, changed.dtype) for output in outputs)
        if mask is not None:
            shift, log_scale = shift * (1 - mask), log_scale * (1 - mask)
        return shift, log_scale

    def _affine(
        self, value: tf.Tensor, shift: tf.Tensor, log_scale: tf.Tensor, *, inverse: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if inverse:
            return (value - shift) * tf.exp(-log_scale), -log_scale
        return value * tf.exp(log_scale) + shift, log_scale
