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
    """Raises `ValueError` unless a bijector does the same to every event.

    Inside of ours, events have one batch axis, whatever their leading shape was, and a
    batch of parameters would silently go with the wrong ones.
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


def nested_kwargs(bijector: tfb.Bijector, **kwargs: Any) -> dict[str, Any]:
    """Returns the `bijector_kwargs` that bring `kwargs` to each of our bijectors.

    TFP passes keyword arguments to a member of a `tfb.Chain` under the member's
    name, to the inside of a `tfb.Invert` as they are, and would pass them to its own
    bijectors, which refuse them.

    Args:
      bijector: Any `tfb.Bijector`.
      **kwargs: What our bijectors shall be given, such as `training=True`. A
        `condition` goes to those alone that take one.

    Returns:
      `dict`, empty if none of our bijectors is reached.

    Raises:
      ValueError: If members of one name must be given different arguments.
    """
    if isinstance(bijector, FusedBijector):
        if bijector.condition_size is None:
            return {name: v for name, v in kwargs.items() if name != "condition"}
        return kwargs
    if isinstance(bijector, Invert):
        return nested_kwargs(bijector.bijector, **kwargs)
    if isinstance(bijector, tfb.Composition):
        found: dict[str, Any] = {}
        for member in tf.nest.flatten(bijector.bijectors):
            inner = nested_kwargs(member, **kwargs)
            if found.setdefault(member.name, inner).keys() != inner.keys():
                raise ValueError(
                    "bijector: expected members of different names, for a "
                    f"{type(bijector).__name__} passes arguments by name; got two "
                    f"called {member.name!r} of which one takes "
                    f"{' and '.join({**found[member.name], **inner})}."
                )
        return {name: inner for name, inner in found.items() if inner}
    return {}


def run(
    bijector: tfb.Bijector,
    value: tf.Tensor,
    event_ndims: int,
    *,
    inverse: bool,
    **kwargs: Any,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what a bijector makes of a value, and its log-determinant.

    One of ours does so in one pass, and is alone given the keyword arguments. The value
    has one batch axis before its `event_ndims` axes, which the log-determinant covers.
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
