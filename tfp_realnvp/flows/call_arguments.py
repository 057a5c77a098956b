"""How `training` and `condition` reach our bijectors through a distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_realnvp.bijectors import (
    Conditioned,
    FusedBijector,
    FusedChain,
    PixelLogit,
    Squeeze,
)
from tfp_realnvp.bijectors.fused_chain import Invert, nested_kwargs
from tfp_realnvp.bijectors.inputs import common_condition_size, encode_condition

# `tfb.Chain(...)` of bijectors that are not `CompositeTensor`s is no `tfb.Chain`.
_Chain = tfb.Chain.__bases__[0]
_REARRANGING = (tfb.Identity, tfb.Permute, tfb.Reshape, tfb.Transpose, Squeeze)


def distribution_kwargs(
    distribution: tfd.Distribution, **kwargs: Any
) -> dict[str, Any]:
    """Returns the keyword arguments that a distribution's `log_prob` and `sample` need.

    Transformed distributions pass arguments on to their bijector and to their base.
    Others (mixtures, joint distributions) do not.

    Args:
      distribution: Any `tfd.Distribution`.
      **kwargs: Arguments for our bijectors: `training`, `condition`. Only conditional
        bijectors get a condition.

    Returns:
      `dict`, empty if none of our bijectors is reached.

    #### Example

    ```python
    >>> import tensorflow_probability as tfp
    >>> import tfp_realnvp as nvp
    >>> from tfp_realnvp.flows import distribution_kwargs
    >>> tfd = tfp.distributions
    >>> base = tfd.MultivariateNormalDiag([0., 0.])
    >>> flow = tfd.TransformedDistribution(base, nvp.RealNVPBijector((2,)))
    >>> distribution_kwargs(flow, training=True)
    {'bijector_kwargs': {'training': True}}

    ```
    """
    if not is_transformed(distribution):
        return {}
    found = {
        "distribution_kwargs": distribution_kwargs(distribution.distribution, **kwargs),
        "bijector_kwargs": nested_kwargs(distribution.bijector, **kwargs),
    }
    return {name: inner for name, inner in found.items() if inner}


def reached_bijectors(of: tfd.Distribution | tfb.Bijector) -> list[FusedBijector]:
    """Returns our bijectors that `distribution_kwargs` reaches, outermost only."""
    inner: list[Any] = []
    if isinstance(of, FusedBijector):
        return [of]
    if isinstance(of, Invert):
        inner = [of.bijector]
    elif isinstance(of, tfb.Composition):
        inner = tf.nest.flatten(of.bijectors)
    elif isinstance(of, tfd.Distribution) and is_transformed(of):
        inner = [of.bijector, of.distribution]
    return [found for member in inner for found in reached_bijectors(member)]


def condition_size_of_flow(distribution: tfd.Distribution) -> int | None:
    """Returns the size of the condition that `distribution` takes, if any."""
    return common_condition_size(
        b.condition_size for b in reached_bijectors(distribution)
    )


def condition_vectors(
    flow: tfd.Distribution,
    condition: np.ndarray | None,
    count: int,
    *,
    name: str = "condition",
) -> np.ndarray | None:
    """Returns conditions as vectors, one for each image.

    Args:
      flow: Any distribution.
      condition: Labels or vectors.
      count: Python `int`, number of images.
      name: Python `str`, name of the condition in errors.

    Returns:
      Floating array of shape [count, condition_size], or `None` if the flow takes no
      condition.

    Raises:
      ValueError: If the condition does not fit the flow, or is not one for each image.
    """
    size = condition_size_of_flow(flow)
    try:
        vectors = encode_condition(condition, size, flow.dtype, validate_args=True)
    except ValueError as error:
        raise ValueError(str(error).replace("condition", name, 1)) from None
    if condition is None or vectors is None:
        return None
    if vectors.shape != (count, size):
        raise ValueError(
            f"{name}: expected one for each of {count} images, got shape "
            f"{tuple(np.shape(condition))}."
        )
    if not np.isfinite(vectors).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity.")
    return vectors.numpy()


def pixel_logit_of(distribution: tfd.Distribution) -> PixelLogit | None:
    """Returns the `PixelLogit` of a distribution over pixels, `None` for others.

    It is the last bijector before the data, not counting those that only rearrange.
    """
    if not is_transformed(distribution):
        parts = distribution._flatten(
            recursive=False, predicate=lambda value: isinstance(value, tfd.Distribution)
        )
        return next(filter(None, map(pixel_logit_of, parts)), None)
    for member in _members(distribution.bijector):
        if not isinstance(member, _REARRANGING):
            return member if isinstance(member, PixelLogit) else None
    return None


def is_transformed(distribution: tfd.Distribution) -> bool:
    """Whether this is a `tfd.TransformedDistribution` of any class."""
    return hasattr(distribution, "bijector") and hasattr(distribution, "distribution")


def check_transformed(distribution: Any, name: str = "flow") -> None:
    """Raises `TypeError` unless this is a `tfd.TransformedDistribution`."""
    is_distribution = isinstance(distribution, tfd.Distribution)
    if not is_distribution or not is_transformed(distribution):
        raise TypeError(
            f"{name}: expected a tfd.TransformedDistribution, got "
            f"{type(distribution).__name__}."
        )


def _members(bijector: tfb.Bijector) -> list[tfb.Bijector]:
    """Returns the parts of a bijector in sequence, from the data on."""
    if isinstance(bijector, Conditioned):
        return _members(bijector.bijector)
    if isinstance(bijector, (FusedChain, _Chain)):
        return [part for member in bijector.bijectors for part in _members(member)]
    return [bijector]
