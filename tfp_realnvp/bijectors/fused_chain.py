"""Composition that keeps the single pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_realnvp.arguments import shortened
from tfp_realnvp.bijectors.condition import common_condition_size
from tfp_realnvp.bijectors.fused import FusedBijector
from tfp_realnvp.bijectors.members import check_no_batch, condition_size_of, run


class FusedChain(FusedBijector):
    """Composition of bijectors whose keyword arguments reach every member.

    ```none
    forward:  y = bijectors[0].forward(bijectors[1].forward(... x))
    ```

    The order is that of `tfb.Chain`: the last one listed acts first in `forward`.
    Unlike there, `bijector_kwargs={"training": True}` needs no names of members, and
    each of our bijectors runs once however deep it is nested.

    Args:
      bijectors: Sequence of `tfb.Bijector`s. Events keep their rank throughout.
      validate_args: Python `bool`, as for every `tfb.Bijector`.
      name: Python `str`.

    Raises:
      TypeError: If `bijectors` is no sequence, or empty.
      ValueError: If one of them has a batch of parameters, or two of them take
        conditions of different sizes.

    #### Example

    ```python
    >>> import tensorflow_probability as tfp
    >>> import tfp_realnvp as nvp
    >>> tfb = tfp.bijectors
    >>> float(nvp.FusedChain([tfb.Exp(), tfb.Scale(2.)]).forward(0.))
    1.0

    ```
    """

    def __init__(
        self,
        bijectors: Sequence[tfb.Bijector],
        *,
        validate_args: bool = False,
        name: str = "fused_chain",
    ):
        parameters = dict(locals())
        if not isinstance(bijectors, Sequence) or not bijectors:
            raise TypeError(
                "bijectors: expected a sequence of at least one tfb.Bijector, got "
                f"{shortened(bijectors)}."
            )
        event_ndims = max(b.forward_min_event_ndims for b in bijectors)
        for bijector in bijectors:
            check_no_batch("bijectors", bijector, event_ndims)
        with tf.name_scope(name) as name:
            super().__init__(
                event_ndims=event_ndims,
                condition_size=common_condition_size(map(condition_size_of, bijectors)),
                is_constant_jacobian=all(b.is_constant_jacobian for b in bijectors),
                parameters=parameters,
                validate_args=validate_args,
                name=name,
            )
            self._bijectors = list(bijectors)

    @property
    def bijectors(self) -> list[tfb.Bijector]:
        """The members, in the order they were given."""
        return list(self._bijectors)

    def _forward_and_log_det(
        self, x: tf.Tensor, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._run_all(self._bijectors[::-1], x, inverse=False, **kwargs)

    def _inverse_and_log_det(
        self, y: tf.Tensor, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._run_all(self._bijectors, y, inverse=True, **kwargs)

    def _run_all(
        self, bijectors: Sequence[tfb.Bijector], value: tf.Tensor, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        total = 0.0
        for bijector in bijectors:
            value, log_det = run(bijector, value, self.event_ndims, **kwargs)
            total += log_det
        return value, total

    def _forward_event_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        for bijector in reversed(self._bijectors):
            input_shape = bijector.forward_event_shape(input_shape)
        return input_shape

    def _inverse_event_shape(self, output_shape: tf.TensorShape) -> tf.TensorShape:
        for bijector in self._bijectors:
            output_shape = bijector.inverse_event_shape(output_shape)
        return output_shape

    def _forward_event_shape_tensor(self, input_shape: tf.Tensor) -> tf.Tensor:
        for bijector in reversed(self._bijectors):
            input_shape = bijector.forward_event_shape_tensor(input_shape)
        return input_shape

    def _inverse_event_shape_tensor(self, output_shape: tf.Tensor) -> tf.Tensor:
        for bijector in self._bijectors:
            output_shape = bijector.inverse_event_shape_tensor(output_shape)
        return output_shape
