"""The masked coupling layer, for any network and any elementwise bijection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_realnvp.arguments import shortened
from tfp_realnvp.bijectors.fused import FusedBijector
from tfp_realnvp.bijectors.inputs import (
    check_condition_size,
    event_shape_from,
    event_shape_of,
)
from tfp_realnvp.bijectors.masks import ChannelSplit, Mask, resolve_mask
from tfp_realnvp.nets.parts import build, takes


class Coupling(FusedBijector):
    """Transforms one part of an event entry by entry, as a function of the other.

    With the mask `b` (1 where an entry passes through), a network `p` and a bijection
    `f` of single numbers that depends on parameters:

    ```none
    forward:  y = b * x + (1 - b) * f(x; p(b * x))
    inverse:  x = b * y + (1 - b) * f^-1(y; p(b * y))
    forward_log_det_jacobian = sum((1 - b) * log |f'(x; p(b * x))|)
    ```

    Neither direction inverts the network, so it can be any Keras layer. It runs once
    in either direction. What it sees depends on the mask:

    - A mask that varies along the last axis only (`channel_mask`) splits the
      channels: the network gets those that pass through, [N, ..., kept], and returns
      the parameters of the others, [N, ..., changed * P].
    - Any other mask (`checkerboard_mask`) zeroes the rest: the network gets `b * x`,
      [N, ..., channels], and returns [N, ..., channels * P]; the parameters of entries
      that pass through are ignored. A network whose `call` has an argument `context`
      gets the mask there.

    P, the number of parameters of an entry, follows from the network's output;
    `transform` gets them along a last axis of length P.

    A conditional coupling hands its condition to the argument `condition` of the
    network's `call`, as vectors of shape [N, condition_size].

    Args:
      event_shape: Sequence of Python `int`s, shape of an event. If `mask` is a
        function and the network accepts them, events of other sizes work too.
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
      TypeError: If `mask` is not boolean, `network` is not a Keras layer, or
        `transform` is not a function.
      ValueError: If `event_shape` is not a shape, if `mask` does not fit it, or is all
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
                f"transform: expected a function, got {shortened(transform)}."
            )
        self._bijector_of = transform
        self._set_up(parameters)

    def _set_up(self, parameters: dict[str, Any]) -> None:
        """Does what all constructors of couplings do, with their arguments."""
        event_shape = event_shape_from(parameters["event_shape"])
        network, mask = parameters["network"], parameters["mask"]
        condition_size = parameters["condition_size"]
        check_condition_size(condition_size)
        if not isinstance(network, keras.layers.Layer):
            raise TypeError(
                f"network: expected a Keras layer, got {shortened(network)}."
            )
        if condition_size is not None and not takes(network, "condition"):
            raise ValueError(
                "network: expected a layer whose call takes an argument condition, "
                f"for condition_size={condition_size}; got {network.name!r}."
            )
        with tf.name_scope(parameters["name"]) as name:
            self._mask = mask
            with tf.init_scope():
                value = resolve_mask(mask, event_shape).numpy()
            if value.all() or not value.any():
                raise ValueError(
                    "mask: expected both True (passes through) and False (is "
                    f"transformed), got {value.all()} everywhere."
                )
            varies_by_channel = value.size == value.shape[-1]
            self._split = ChannelSplit(value.ravel()) if varies_by_channel else None
            self._takes_context = not self._split and takes(network, "context")
            *outer, channels = event_shape
            shapes: dict[str, tuple[int | None, ...]] = {}
            if self._split:
                channels = len(self._split.kept)
            elif self._takes_context:
                shapes["context"] = (None, *outer, value.shape[-1])
            if condition_size is not None:
                shapes["condition"] = (None, condition_size)
            build(network, (None, *outer, channels), shapes)
            super().__init__(
                event_ndims=len(event_shape),
                event_shape=event_shape,
                any_size=callable(mask),
                condition_size=condition_size,
                layers=(network,),
                parameters=parameters,
                validate_args=parameters["validate_args"],
                name=name,
            )
            self._network = network

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of the events the coupling was made for."""
        return self._event_shape

    @property
    def network(self) -> keras.layers.Layer:
        """The Keras layer that computes the parameters."""
        return self._network

    def _value_and_log_det(
        self,
        value: tf.Tensor,
        *,
        inverse: bool,
        training: bool = False,
        condition: tf.Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        arguments: dict[str, Any] = {"training": training}
        # An unconditional coupling among conditional ones ignores the condition.
        if self.condition_size is not None:
            arguments["condition"] = condition
        if self._split:
            mask = None
            passed, changed = self._split.split(value)
        else:
            mask = resolve_mask(self._mask, event_shape_of(value, self.event_ndims))
            mask = tf.cast(mask, value.dtype)
            passed, changed = value * mask, value
            if self._takes_context:
                arguments["context"] = tf.ones_like(passed[..., :1]) * mask
        outputs = self._network(passed, **arguments)
        changed, log_det = self._change(changed, outputs, mask, inverse=inverse)
        if self._split:
            changed = self._split.merge(passed, changed)
        event_axes = list(range(1, self.event_ndims + 1))
        return changed, tf.reduce_sum(log_det, axis=event_axes)

    def _change(
        self,
        changed: tf.Tensor,
        outputs: Any,
        mask: tf.Tensor | None,
        *,
        inverse: bool,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the transformed part and the log-derivative of each of its entries.

        `mask` is 1 for entries of `changed` that pass through, `None` if none does.
        """
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
                f"{described(outputs)} from {self._network.name!r}."
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
        # The static shape of TFP's splines is unknown if the batch size is.
        new.set_shape(changed.shape)
        log_det = tf.broadcast_to(log_det, tf.shape(changed))
        if mask is not None:
            new = tf.where(mask > 0, changed, new)
            log_det *= 1 - mask
        return new, log_det


def described(outputs: Any) -> str:
    """Returns a description of a network's outputs, for errors."""
    if isinstance(outputs, (tuple, list)):
        return f"{len(outputs)} outputs"
    return str(tuple(outputs.shape)) if tf.is_tensor(outputs) else shortened(outputs)
