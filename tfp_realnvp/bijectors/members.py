"""What bijectors of ours ask of those within them, which may be of any class."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability.python.bijectors.invert import _Invert

from tfp_realnvp.bijectors.fused import FusedBijector

# `tfb.Invert(...)` of a bijector that is no `CompositeTensor` is none of `tfb.Invert`.
Invert = _Invert


def check_no_batch(name: str, bijector: tfb.Bijector, event_ndims: int) -> None:
    """Checks that a bijector does the same to every event.

    Inside of ours, events have one batch axis, whatever their leading shape was, and a
    batch of parameters would silently go with the wrong ones.

    Args:
      name: Python `str`, the argument.
      bijector: Any `tfb.Bijector`.
      event_ndims: Python `int`, rank of the events that it is given.

    Raises:
      ValueError: If it has a batch of parameters.
    """
    if isinstance(bijector, FusedBijector):
        for member in getattr(bijector, "bijectors", []):
            check_no_batch(name, member, event_ndims)
    if event_ndims == 0:
        return  # Scalars keep their leading shape.
    try:
        batch_shape = bijector.experimental_batch_shape(x_event_ndims=event_ndims)
    except NotImplementedError:
        return
    if batch_shape.rank:
        raise ValueError(
            f"{name}: expected bijectors without a batch of parameters, got "
            f"{bijector.name!r} with batch shape {batch_shape} for events of rank "
            f"{event_ndims}. tfb.Chain takes it, outside of ours."
        )


def condition_size_of(bijector: tfb.Bijector) -> int | None:
    """Returns the `condition_size` of a bijector, `None` if it is none of ours."""
    if isinstance(bijector, Invert):
        return condition_size_of(bijector.bijector)
    return bijector.condition_size if isinstance(bijector, FusedBijector) else None


def run(
    bijector: tfb.Bijector,
    value: tf.Tensor,
    event_ndims: int,
    *,
    inverse: bool,
    **kwargs: Any,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what a bijector makes of a value, and its log-determinant.

    One of ours does so in one pass.

    Args:
      bijector: Any `tfb.Bijector`; `**kwargs` reach it only if it is one of ours.
      value: `Tensor` with one batch axis before its `event_ndims` event axes.
      event_ndims: Python `int`, rank of the event that the log-determinant covers.
      inverse: Python `bool`, the direction.
      **kwargs: Keyword arguments such as `training`.
    """
    if isinstance(bijector, Invert):
        inverse = not inverse
        return run(bijector.bijector, value, event_ndims, inverse=inverse, **kwargs)
    if isinstance(bijector, FusedBijector):
        bijector._checked_event_shape(value.shape, "y" if inverse else "x")
        output, log_det = bijector._run(value, inverse=inverse, **kwargs)
        return output, _sum_event(log_det, event_ndims - bijector.event_ndims)
    value = tf.identity(value)  # TFP's cache knows the object, not whether it is stale.
    if inverse:
        output = bijector.inverse(value)
        log_det = bijector.inverse_log_det_jacobian(value, event_ndims=event_ndims)
    else:
        output = bijector.forward(value)
        log_det = bijector.forward_log_det_jacobian(value, event_ndims=event_ndims)
    batch_shape = tf.shape(value)[: value.shape.rank - event_ndims]
    return output, tf.broadcast_to(log_det, batch_shape)


def _sum_event(log_det: tf.Tensor, ndims: int) -> tf.Tensor:
    return tf.reduce_sum(log_det, axis=list(range(-ndims, 0))) if ndims else log_det
