"""What all coupling layers have in common."""

from __future__ import annotations

import abc
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
from tfp_realnvp.nets.parts import build, takes


class MaskedCoupling(FusedBijector):
    """What couplings have in common: a mask, and a network that sees what it marks.

    Subclasses implement `_change`. Arguments as for `Coupling`.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        network: keras.layers.Layer,
        mask: Mask,
        *,
        parameters: dict[str, Any],
        condition_size: int | None,
        validate_args: bool,
        name: str,
    ):
        check_condition_size(condition_size)
        check_options(validate_args, name)
        event_shape = event_shape_from(event_shape)
        if not isinstance(network, keras.layers.Layer):
            raise TypeError(
                f"network: expected a Keras layer, got {shortened(network)}."
            )
        if condition_size is not None and not takes(network, "condition"):
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
                event_ndims=len(self._event_shape),
                condition_size=condition_size,
                layers=(network,),
                parameters=parameters,
                validate_args=validate_args,
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
        outputs = self._call_network(passed, mask, kwargs)
        changed, log_det = self._change(changed, outputs, mask, inverse=inverse)
        if self._split:
            changed = self._split.merge(passed, changed)
        event_axes = list(range(1, self.event_ndims + 1))
        return changed, tf.reduce_sum(log_det, axis=event_axes)

    def _take_apart(
        self, value: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Returns what the network sees, what is transformed, and the mask if any."""
        if self._split:
            return *self._split.split(value), None
        mask = resolve_mask(self._mask, event_shape_of(value, self.event_ndims))
        mask = tf.cast(mask, value.dtype)
        return value * mask, value, mask

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

    @abc.abstractmethod
    def _change(
        self,
        changed: tf.Tensor,
        outputs: Any,
        mask: tf.Tensor | None,
        *,
        inverse: bool,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the transformed part and the log-derivative of each of its entries.

        Args:
          changed: `Tensor`, the part that is transformed.
          outputs: What the network has returned.
          mask: 1 for entries of it that pass through, or `None` if none does.
          inverse: Python `bool`, the direction.
        """
