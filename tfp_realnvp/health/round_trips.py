"""How exactly a flow goes from data to latents and back, and from latents to data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_realnvp.bijectors import FusedChain
from tfp_realnvp.figures.latents import draw_latents
from tfp_realnvp.flows.call_arguments import check_transformed, distribution_kwargs
from tfp_realnvp.flows.real_nvp import RealNVPBijector


@dataclasses.dataclass(frozen=True)
class Errors:
    """What there is to know of many absolute errors.

    Attributes:
      max: The largest.
      mean: Their mean.
      quantile_999: What one in a thousand of them is above.
      non_finite: How many are NaN or infinite; the others are about the rest.
    """

    max: float
    mean: float
    quantile_999: float
    non_finite: int

    @classmethod
    def of(cls, errors: np.ndarray) -> Errors:
        """Returns the summary of an array of differences of any shape."""
        errors = np.abs(np.asarray(errors, np.float64)).ravel()
        finite = errors[np.isfinite(errors)]
        if not finite.size:
            return cls(np.nan, np.nan, np.nan, errors.size)
        return cls(
            float(finite.max()),
            float(finite.mean()),
            float(np.quantile(finite, 0.999)),
            errors.size - finite.size,
        )


@dataclasses.dataclass(frozen=True)
class RoundTrips:
    """Differences that should all be 0 and are what rounding makes of them.

    Attributes:
      on_data: `forward(inverse(x)) - x`, of shape [N, *event_shape], in units of `x`.
      on_samples: `inverse(forward(z)) - z` by scale, finest first: arrays of shape
        [N, ...]. A flow without scales has one. Samples that are not finite give NaN.
      log_det_drift: `forward_log_det(z) + inverse_log_det(x)` with `z = inverse(x)`,
        each by a pass of its own, in nats, of shape [N].
      drawn: The `z` drawn from the base, by scale, as `on_samples`.
      log_prob: `log_prob(x)`, by running statistics, in nats, of shape [N].
    """

    on_data: np.ndarray
    on_samples: list[np.ndarray]
    log_det_drift: np.ndarray
    drawn: list[np.ndarray]
    log_prob: np.ndarray


def measure_round_trips(
    flow: tfd.Distribution,
    x: np.ndarray,
    condition: np.ndarray | None = None,
    *,
    seed: int = 0,
    batch_size: int = 64,
) -> RoundTrips:
    """Goes both ways there and back, by running statistics, in the flow's dtype.

    Args:
      flow: `tfd.TransformedDistribution`.
      x: Real-valued events of shape [N, *event_shape], over pixels in [0, 256).
      condition: Array of vectors of shape [N, condition_size], or `None`.
      seed: Python `int`, of as many samples.
      batch_size: Python `int`, a matter of memory and speed alone.

    Raises:
      TypeError: If `flow` has no bijector.
    """
    check_transformed(flow)
    samples = draw_latents(flow, len(x), seed=seed, condition=condition)
    parts = [
        _measure(flow, x[part], samples[part], _part(condition, part))
        for part in _parts(len(x), batch_size)
    ]
    joined = {
        name: _joined([getattr(part, name) for part in parts])
        for name in (field.name for field in dataclasses.fields(RoundTrips))
    }
    return RoundTrips(**joined)


def split_scales(flow: tfd.Distribution, latents: Any) -> list[Any]:
    """Returns the latents of a flow by scale, finest first, or all in one."""
    bijector = flow.bijector
    # What is nearest to the latents comes last.
    while isinstance(bijector, (FusedChain, tfb.Chain)):
        bijector = bijector.bijectors[-1]
    if isinstance(bijector, RealNVPBijector):
        return bijector.split_latent(tf.convert_to_tensor(latents))
    return [latents]


def _measure(
    flow: tfd.Distribution,
    x: np.ndarray,
    samples: np.ndarray,
    condition: np.ndarray | None,
) -> RoundTrips:
    bijector, ndims = flow.bijector, len(flow.event_shape)
    kwargs = distribution_kwargs(flow, training=False, condition=condition)
    events = tf.constant(x)
    log_prob = flow.log_prob(events, **kwargs)
    kwargs = kwargs.get("bijector_kwargs", {})
    # TFP remembers the pass of a tensor, and would give back where it came from: each
    # way starts at a tensor of its own, and gives value and log-determinant together.
    latents = bijector.inverse(events, **kwargs)
    inverse_log_det = bijector.inverse_log_det_jacobian(events, ndims, **kwargs)
    start = tf.identity(latents)
    back = bijector.forward(start, **kwargs)
    forward_log_det = bijector.forward_log_det_jacobian(start, ndims, **kwargs)

    drawn = bijector.forward(tf.constant(samples), **kwargs).numpy()
    is_finite = np.isfinite(drawn).reshape(len(drawn), -1).all(axis=1)
    # Bijectors that check their input refuse what is not finite.
    drawn[~is_finite] = events.numpy()[~is_finite]
    again = bijector.inverse(tf.constant(drawn), **kwargs).numpy()
    again[~is_finite] = np.nan
    return RoundTrips(
        (back - events).numpy(),
        [np.asarray(part) for part in split_scales(flow, again - samples)],
        (forward_log_det + inverse_log_det).numpy(),
        [np.asarray(part) for part in split_scales(flow, samples)],
        log_prob.numpy(),
    )


def _parts(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def _part(values: np.ndarray | None, part: slice) -> np.ndarray | None:
    return None if values is None else values[part]


def _joined(values: list[Any]) -> Any:
    if isinstance(values[0], list):
        return [np.concatenate(scale) for scale in zip(*values, strict=True)]
    return np.concatenate(values)
