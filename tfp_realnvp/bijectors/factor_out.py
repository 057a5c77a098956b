"""Factoring out half of the dimensions, which leave the flow early."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_realnvp.bijectors.fused import FusedBijector
from tfp_realnvp.bijectors.fused_chain import (
    check_bijector,
    check_no_batch,
    condition_size_of,
    run,
)
from tfp_realnvp.bijectors.inputs import (
    event_shape_from,
)
from tfp_realnvp.bijectors.masks import (
    ChannelSplit,
    Mask,
    channel_mask,
    resolve_mask,
)


class FactorOut(FusedBijector):
    """Sends some channels through the rest of the flow and leaves the others as is.

    With the mask `m` (1 for channels that go on) and the rest of the flow `f`
    (Eq. 10-13, one level of the recursion):

    ```none
    forward:  y = m * f.forward(m * x) + (1 - m) * x
    ```

    The channels that leave are latents already. Each `FactorOut` in a flow ends one
    scale of the multi-scale architecture.

    Args:
      event_shape: Sequence of Python `int`s, (height, width, channels) or any shape
        with channels last.
      bijector: `tfb.Bijector` for events (height, width, number of `True`s in
        `mask`), the rest of the flow.
      mask: Boolean array that broadcasts against the event and varies along its last
        axis only, or a function from event shape to such an array.
      validate_args: Python `bool`, as for every `tfb.Bijector`.
      name: Python `str`.

    Raises:
      TypeError: If `bijector` is not a `tfb.Bijector`.
      ValueError: If `event_shape` is not a shape, `mask` does not fit, or `bijector`
        has a batch of parameters.

    #### Example

    ```python
    >>> import tensorflow as tf, tensorflow_probability as tfp
    >>> import tfp_realnvp as nvp
    >>> doubled = nvp.FactorOut((1, 1, 4), tfp.bijectors.Scale(2.))
    >>> print(doubled.forward(tf.ones([1, 1, 4])).numpy().ravel())
    [2. 2. 1. 1.]

    ```

    #### References

    [1]: Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio. Density estimation using
         Real NVP, Section 3.6. https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        bijector: tfb.Bijector,
        mask: Mask = channel_mask,
        *,
        validate_args: bool = False,
        name: str = "factor_out",
    ):
        parameters = dict(locals())
        event_shape = event_shape_from(event_shape)
        check_bijector("bijector", bijector)
        check_no_batch("bijector", bijector, len(event_shape))
        with tf.name_scope(name) as name:
            with tf.init_scope():
                value = resolve_mask(mask, event_shape).numpy()
            if value.size != event_shape[-1]:
                raise ValueError(
                    "mask: expected one that varies along the last axis only, got "
                    f"shape {value.shape}."
                )
            self._split = ChannelSplit(value.ravel())
            super().__init__(
                event_ndims=len(event_shape),
                event_shape=event_shape,
                any_size=True,
                condition_size=condition_size_of(bijector),
                parameters=parameters,
                validate_args=validate_args,
                name=name,
            )
            self._bijector = bijector

    @property
    def bijector(self) -> tfb.Bijector:
        """The rest of the flow."""
        return self._bijector

    def split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the channels of `x` that go on and those that leave."""
        return self._split.split(x)

    def merge(self, going_on: tf.Tensor, leaving: tf.Tensor) -> tf.Tensor:
        """Undoes `split`."""
        return self._split.merge(going_on, leaving)

    def _value_and_log_det(
        self, value: tf.Tensor, *, inverse: bool, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        going_on, leaving = self.split(value)
        going_on, log_det = run(
            self._bijector, going_on, self.event_ndims, inverse=inverse, **kwargs
        )
        return self.merge(going_on, leaving), log_det
