"""The masked affine coupling layer."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.arguments import shortened
from tfp_realnvp.bijectors.channel_split import ChannelSplit
from tfp_realnvp.bijectors.condition import check_condition_size
from tfp_realnvp.bijectors.event import (
    check_floating,
    check_options,
    checked_event_shape,
    event_shape_from,
    event_shape_of,
)
from tfp_realnvp.bijectors.fused import FusedBijector
from tfp_realnvp.bijectors.masks import Mask, resolve_mask


class AffineCoupling(FusedBijector):
    """Scales and shifts one part of an event as a function of the other.

    With the mask `b` (1 where an entry passes through) and a network that computes
    shift `t` and log-scale `s` (Eq. 7-9):

    ```none
    forward:  y = b * x + (1 - b) * (x * exp(s(b * x)) + t(b * x))
    inverse:  x = b * y + (1 - b) * (y - t(b * y)) * exp(-s(b * y))
    forward_log_det_jacobian = sum((1 - b) * s(b * x))
    ```

    Neither direction inverts the network, which may be any Keras layer and runs once
    in each. What it sees depends on the mask:

    - A mask that varies along the last axis only (`channel_mask`) splits the
      channels: the network gets those that pass through, [N, ..., kept], and returns
      shift and log-scale for the others, [N, ..., changed].
    - Any other mask (`checkerboard_mask`) zeroes the rest: the network gets `b * x`,
      [N, ..., channels], and returns shift and log-scale of that same shape. A
      network whose `call` has an argument `context` is given the mask there.

    A conditional coupling hands its condition to the argument `condition` of the
    network's `call`, as vectors of shape [N, condition_size].

    Args:
      event_shape: Sequence of Python `int`s, shape of an event. If `mask` is a
        function and the network does not mind, events of other sizes work too.
      network: Keras layer, called as `network(inputs, training=...)`, that returns
        the pair shift, log_scale. `ShiftAndLogScale(ResNet(...))` is one.
      mask: Boolean array that broadcasts against the event, `True` where it passes
        through unchanged, or a function from event shape to such an array.
      condition_size: Python `int`, number of classes or length of the vectors of the
        argument `condition`, see `FusedBijector`; `None` for an unconditional one.
      validate_args: Python `bool`, as for every `tfb.Bijector`.
      name: Python `str`.

    Raises:
      TypeError: If `mask` is not boolean, or `network` no Keras layer.
      ValueError: If `event_shape` is no shape, if `mask` does not fit it, or is all
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
        check_condition_size(condition_size)
        check_options(validate_args, name)
        event_shape = event_shape_from(event_shape)
        if not isinstance(network, keras.layers.Layer):
            raise TypeError(
                f"network: expected a Keras layer, got {shortened(network)}."
            )
        arguments = inspect.signature(network.call).parameters
        if condition_size is not None and "condition" not in arguments:
            raise ValueError(
                "network: expected a layer whose call takes an argument condition, "
                f"for condition_size={condition_size}; got {network.name!r}."
            )
        with tf.name_scope(name) as name:
            self._event_shape = event_shape
            self._mask = mask
            with tf.init_scope():
                value = resolve_mask(mask, self._event_shape).numpy()
            if value.all() or not value.any():
                raise ValueError(
                    "mask: expected both True (passes through) and False (is "
                    f"transformed), got {value.all()} everywhere."
                )
            self._split = (
                ChannelSplit(value.ravel()) if value.size == value.shape[-1] else None
            )
            self._takes_context = "context" in arguments
            if not network.built:
                self._build(network, value.shape[-1], condition_size)
            super().__init__(
                event_ndims=len(self._event_shape),
                condition_size=condition_size,
                layers=(network,),
                parameters=parameters,
                validate_args=validate_args,
                name=name,
            )
            self._network = network

    def _build(
        self,
        network: keras.layers.Layer,
        mask_channels: int,
        condition_size: int | None,
    ) -> None:
        *outer, channels = self._event_shape
        shapes = {}
        if self._split:
            channels = len(self._split.kept)
        elif self._takes_context:
            shapes["context_shape"] = (None, *outer, mask_channels)
        if condition_size is not None:
            shapes["condition_shape"] = (None, condition_size)
        network.build((None, *outer, channels), **shapes)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of the events the coupling was made for."""
        return self._event_shape

    @property
    def network(self) -> keras.layers.Layer:
        """The Keras layer that computes shift and log-scale."""
        return self._network

    def _checked_event_shape(self, shape: tf.TensorShape, name: str) -> tf.TensorShape:
        return checked_event_shape(
            shape, name, self._event_shape, any_size=callable(self._mask)
        )

    def _forward_and_log_det(
        self, x: tf.Tensor, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._couple("x", x, kwargs, inverse=False)

    def _inverse_and_log_det(
        self, y: tf.Tensor, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._couple("y", y, kwargs, inverse=True)

    def _couple(
        self, name: str, value: tf.Tensor, kwargs: dict[str, Any], *, inverse: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        check_floating(name, value)
        passed, changed, mask = self._take_apart(value)
        shift, log_scale = self._shift_and_log_scale(passed, changed, mask, kwargs)
        log_det = tf.reduce_sum(log_scale, axis=list(range(1, self.event_ndims + 1)))
        if inverse:
            changed, log_det = (changed - shift) * tf.exp(-log_scale), -log_det
        else:
            changed = changed * tf.exp(log_scale) + shift
        if self._split:
            changed = self._split.merge(passed, changed)
        return changed, log_det

    def _take_apart(
        self, value: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Returns what the network sees, what is transformed, and the mask if any."""
        if self._split:
            return *self._split.split(value), None
        mask = resolve_mask(self._mask, event_shape_of(value, self.event_ndims))
        mask = tf.cast(mask, value.dtype)
        return value * mask, value, mask

    def _shift_and_log_scale(
        self,
        passed: tf.Tensor,
        changed: tf.Tensor,
        mask: tf.Tensor | None,
        kwargs: dict[str, Any],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        outputs = self._call_network(passed, mask, kwargs)
        if not isinstance(outputs, (tuple, list)) or len(outputs) != 2:
            got = type(outputs).__name__
            if isinstance(outputs, (tuple, list)):
                got = f"{len(outputs)} outputs"
            raise ValueError(
                "network: expected one that returns the pair (shift, log_scale), got "
                f"{got} from {self._network.name!r}. ShiftAndLogScale makes two of one."
            )
        shift, log_scale = (
            self._of_changed(name, value, changed, mask)
            for name, value in zip(("shift", "log_scale"), outputs, strict=True)
        )
        return shift, log_scale

    def _call_network(
        self, passed: tf.Tensor, mask: tf.Tensor | None, kwargs: dict[str, Any]
    ) -> Any:
        arguments = {"training": kwargs.get("training", False)}
        # An unconditional coupling among conditional ones has no use for theirs.
        if self.condition_size is not None:
            arguments["condition"] = kwargs.get("condition")
        if self._takes_context and mask is not None:
            arguments["context"] = tf.ones_like(passed[..., :1]) * mask
        return self._network(passed, **arguments)

    def _of_changed(
        self, name: str, value: tf.Tensor, changed: tf.Tensor, mask: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns an output of the network, for the entries that are transformed."""
        if not changed.shape.is_compatible_with(value.shape):
            raise ValueError(
                f"network: expected a {name} of shape {tuple(changed.shape)}, got "
                f"{tuple(value.shape)} from {self._network.name!r}."
            )
        value = tf.cast(value, changed.dtype)
        return value if mask is None else value * (1 - mask)
