"""Composition that keeps the single pass, and helpers for members of bijectors."""

from __future__ import annotations

import copyreg
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd
from tensorflow_probability.python.bijectors.invert import _Invert
from tensorflow_probability.python.distributions.transformed_distribution import (
    _TransformedDistribution,
)

from tfp_realnvp.arguments import shortened
from tfp_realnvp.bijectors.fused import FusedBijector, rebuild
from tfp_realnvp.bijectors.inputs import common_condition_size

# `tfb.Invert(...)` of a bijector that is not a `CompositeTensor` is no `tfb.Invert`.
Invert = _Invert


class FusedChain(FusedBijector):
    """Composition of bijectors whose keyword arguments reach every member.

    ```none
    forward:  y = bijectors[0].forward(bijectors[1].forward(... x))
    ```

    The order is that of `tfb.Chain`: the last one listed acts first in `forward`.
    Unlike there, `bijector_kwargs={"training": True}` needs no member names, and each
    of our bijectors runs once however deeply it is nested.

    Args:
      bijectors: Sequence of `tfb.Bijector`s, which keep the rank of events.
      validate_args: Python `bool`, as for every `tfb.Bijector`.
      name: Python `str`.

    Raises:
      TypeError: If `bijectors` is not a sequence, or empty.
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
        for bijector in bijectors:
            check_bijector("bijectors", bijector)
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

    def _value_and_log_det(
        self, value: tf.Tensor, *, inverse: bool, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        kwargs["inverse"] = inverse
        total = 0.0
        for bijector in self._bijectors if inverse else reversed(self._bijectors):
            value, log_det = run(bijector, value, self.event_ndims, **kwargs)
            total += log_det
        return value, total

    def _through_members(self, shape: Any, method: str) -> Any:
        """Applies a method of each member in turn to a shape."""
        inverse = method.startswith("inverse")
        for bijector in self._bijectors if inverse else reversed(self._bijectors):
            shape = getattr(bijector, method)(shape)
        return shape

    def _forward_event_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return self._through_members(input_shape, "forward_event_shape")

    def _inverse_event_shape(self, output_shape: tf.TensorShape) -> tf.TensorShape:
        return self._through_members(output_shape, "inverse_event_shape")

    def _forward_event_shape_tensor(self, input_shape: tf.Tensor) -> tf.Tensor:
        return self._through_members(input_shape, "forward_event_shape_tensor")

    def _inverse_event_shape_tensor(self, output_shape: tf.Tensor) -> tf.Tensor:
        return self._through_members(output_shape, "inverse_event_shape_tensor")


def check_bijector(name: str, bijector: Any) -> None:
    """Raises `TypeError` unless this is a bijector."""
    if not isinstance(bijector, tfb.Bijector):
        raise TypeError(f"{name}: expected a tfb.Bijector, got {shortened(bijector)}.")


def check_no_batch(name: str, bijector: tfb.Bijector, event_ndims: int) -> None:
    """Raises `ValueError` unless a bijector treats every event alike.

    Inside our bijectors, events of any leading shape have one batch axis, so a batch of
    parameters would silently meet the wrong events.
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
    """Returns the `condition_size` of a bijector, `None` if it is not one of ours."""
    if isinstance(bijector, Invert):
        return condition_size_of(bijector.bijector)
    return bijector.condition_size if isinstance(bijector, FusedBijector) else None


def nested_kwargs(bijector: tfb.Bijector, **kwargs: Any) -> dict[str, Any]:
    """Returns the `bijector_kwargs` that bring `kwargs` to each of our bijectors.

    TFP passes keyword arguments to a member of a `tfb.Chain` under the member's name,
    to the inside of a `tfb.Invert` as they are, and would pass them to its own
    bijectors, which refuse them. Only conditional bijectors get a `condition`.
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
    """Returns a bijector's transform of a value, and the log-determinant.

    Our own bijectors take one pass; only they get the keyword arguments. The value has
    one batch axis before its `event_ndims` axes, which the log-determinant sums over.
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


def _reduce(wrapper: tfb.Bijector | tfd.Distribution) -> tuple[Any, ...]:
    return rebuild, (type(wrapper), dict(wrapper.parameters))


# TFP's classes that wrap others (`TransformedDistribution`, `Independent`, `Mixture`,
# `Invert`, `Chain`, ...) choose their class by their arguments, and so fail where
# `pickle` and `copy.deepcopy` make an object without any. From their parameters, they
# can be made anew.
for _wrapper in (_TransformedDistribution, *vars(tfd).values(), *vars(tfb).values()):
    if (
        isinstance(_wrapper, type)
        and issubclass(_wrapper, (tfb.Bijector, tfd.Distribution))
        and ("__new__" in vars(_wrapper) or _wrapper is _TransformedDistribution)
    ):
        copyreg.pickle(_wrapper, _reduce)
