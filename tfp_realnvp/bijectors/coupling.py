"""The masked coupling layer, for any network and any elementwise bijection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_realnvp.arguments import shortened
from tfp_realnvp.bijectors.masked_coupling import MaskedCoupling
from tfp_realnvp.bijectors.masks import Mask


class Coupling(MaskedCoupling):
    """Transforms one part of an event entry by entry, as a function of the other.

    With the mask `b` (1 where an entry passes through), a network `p` and a bijection
    `f` of single numbers that depends on parameters:

    ```none
    forward:  y = b * x + (1 - b) * f(x; p(b * x))
    inverse:  x = b * y + (1 - b) * f^-1(y; p(b * y))
    forward_log_det_jacobian = sum((1 - b) * log |f'(x; p(b * x))|)
    ```

    Neither direction inverts the network, which may be any Keras layer and runs once
    in each. What it sees depends on the mask:

    - A mask that varies along the last axis only (`channel_mask`) splits the
      channels: the network gets those that pass through, [N, ..., kept], and returns
      the parameters of the others, [N, ..., changed * P].
    - Any other mask (`checkerboard_mask`) zeroes the rest: the network gets `b * x`,
      [N, ..., channels], and returns [N, ..., channels * P], of which those of entries
      that pass through are not used. A network whose `call` has an argument `context`
      is given the mask there.

    P, the number of parameters of an entry, is what the network gives: `transform`
    gets them along a last axis of that length.

    A conditional coupling hands its condition to the argument `condition` of the
    network's `call`, as vectors of shape [N, condition_size].

    Args:
      event_shape: Sequence of Python `int`s, shape of an event. If `mask` is a
        function and the network does not mind, events of other sizes work too.
      network: Keras layer, called as `network(inputs, training=...)`.
      mask: Boolean array that broadcasts against the event, `True` where it passes
        through unchanged, or a function from event shape to such an array.
      transform: `Additive`, `RationalQuadraticSpline`, or any function of parameters, a
        `Tensor` of shape [..., P], that returns a `tfb.Bijector` of scalars with batch
        shape [...].
      condition_size: Python `int`, number of classes or length of the vectors of the
        argument `condition`, see `FusedBijector`; `None` for an unconditional one.
      validate_args: Python `bool`, as for every `tfb.Bijector`.
      name: Python `str`.

    Raises:
      TypeError: If `mask` is not boolean, `network` no Keras layer, or `transform` no
        function.
      ValueError: If `event_shape` is no shape, if `mask` does not fit it, or is all
        `True` or all `False`, or if there is a `condition_size` and `network` takes
        no condition.

    #### Example

    ```python
    >>> import keras, tensorflow as tf, tensorflow_probability as tfp
    >>> import tfp_realnvp as nvp
    >>> network = keras.Sequential(
    ...     [keras.layers.Dense(16, "gelu"), keras.layers.Dense(2 * 2)]
    ... )
    >>> coupling = nvp.Coupling(
    ...     (4,),
    ...     network,
    ...     nvp.channel_mask,
    ...     lambda p: tfp.bijectors.SinhArcsinh(p[..., 0], tf.nn.softplus(p[..., 1])),
    ... )
    >>> coupling.forward(tf.zeros([3, 4])).shape
    TensorShape([3, 4])

    ```

    #### References

    [1]: Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio. Density estimation using
         Real NVP, Section 3.2. https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        network: keras.layers.Layer,
        mask: Mask,
        transform: Callable[[tf.Tensor], tfb.Bijector],
        *,
        condition_size: int | None = None,
        validate_args: bool = False,
        name: str = "coupling",
    ):
        parameters = dict(locals())
        if not callable(transform):
            raise TypeError(
                "transform: expected a function of parameters, got "
                f"{shortened(transform)}."
            )
        self._bijector_of = transform
        super().__init__(
            event_shape,
            network,
            mask,
            parameters=parameters,
            condition_size=condition_size,
            validate_args=validate_args,
            name=name,
        )

    def _change(
        self,
        changed: tf.Tensor,
        outputs: Any,
        mask: tf.Tensor | None,
        *,
        inverse: bool,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        channels = changed.shape[-1]
        expected = changed.shape[:-1]
        wanted = getattr(self._bijector_of, "num_parameters", None)
        if (
            not isinstance(outputs, tf.Tensor)
            or not expected.is_compatible_with(outputs.shape[:-1])
            or outputs.shape[-1] % channels
            or wanted not in (None, outputs.shape[-1] // channels)
        ):
            raise ValueError(
                "network: expected parameters of shape "
                f"(..., {channels} * {wanted or 'P'}) for "
                f"entries of shape {tuple(changed.shape)}, got "
                f"{_shape_of(outputs)} from {self._network.name!r}."
            )
        shape = tf.concat([tf.shape(outputs)[:-1], [channels, -1]], axis=0)
        parameters = tf.reshape(tf.cast(outputs, changed.dtype), shape)
        parameters.set_shape([*expected, channels, outputs.shape[-1] // channels])
        bijector = self._bijector_of(parameters)
        if inverse:
            new = bijector.inverse(changed)
            log_det = bijector.inverse_log_det_jacobian(changed, event_ndims=0)
        else:
            new = bijector.forward(changed)
            log_det = bijector.forward_log_det_jacobian(changed, event_ndims=0)
        # TFP's splines do not know it where the batch's size is not known.
        new.set_shape(changed.shape)
        log_det = tf.broadcast_to(log_det, tf.shape(changed))
        if mask is not None:
            new = tf.where(mask > 0, changed, new)
            log_det *= 1 - mask
        return new, log_det


def _shape_of(outputs: Any) -> str:
    if isinstance(outputs, (tuple, list)):
        return f"{len(outputs)} outputs"
    return str(tuple(outputs.shape)) if tf.is_tensor(outputs) else shortened(outputs)
