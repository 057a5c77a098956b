"""Measurements of a flow: round trips, batch and running statistics, couplings."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.bijectors import AffineCoupling
from tfp_realnvp.figures.latents import draw_latents, innermost_bijector
from tfp_realnvp.flows.call_arguments import check_transformed, distribution_kwargs
from tfp_realnvp.flows.real_nvp import RealNVPBijector
from tfp_realnvp.nets import MLP, ResNet, ShiftAndLogScale
from tfp_realnvp.training.flow_model import FlowModel
from tfp_realnvp.training.non_finite import observed, part_names, unchanged

# There the slope of tanh is 0.02, a fiftieth of that at 0.
_SATURATED_TANH = 0.99
# After a ReLU exactly 0; smooth activations come close to it.
_DEAD = 1e-6


@dataclasses.dataclass(frozen=True)
class Errors:
    """Summary of absolute errors; all but `non_finite` is of the finite ones."""

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
        largest, mean = float(finite.max()), float(finite.mean())
        quantile = float(np.quantile(finite, 0.999))
        return cls(largest, mean, quantile, errors.size - finite.size)


@dataclasses.dataclass(frozen=True)
class RoundTripHealth:
    """Errors of a round trip, and the share of entries beyond the tolerance."""

    errors: Errors
    tolerance: float
    wrong_share: float

    @classmethod
    def of(cls, errors: np.ndarray, tolerance: float) -> RoundTripHealth:
        """Returns the summary of an array of differences of any shape."""
        # NaN is wrong too.
        wrong = ~(np.abs(errors) <= tolerance)
        return cls(Errors.of(errors), float(tolerance), float(wrong.mean()))


@dataclasses.dataclass(frozen=True)
class RoundTrips:
    """Differences that would be 0 in exact arithmetic, for N examples.

    Those of samples are by scale, finest first, and NaN where a sample is not finite.
    Each log-determinant in `log_det_drift` comes from a pass of its own.
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
    """Makes round trips of data and samples, by running statistics.

    They are in the flow's dtype. Events are real-valued, pixels in [0, 256), and
    conditions are vectors.
    """
    check_transformed(flow)
    samples = draw_latents(flow, len(x), seed=seed, condition=condition)
    parts = []
    for start in range(0, len(x), batch_size):
        part = slice(start, start + batch_size)
        given = None if condition is None else condition[part]
        parts.append(_round_trips_of_batch(flow, x[part], samples[part], given))
    errors, again, drift, log_prob = map(np.concatenate, zip(*parts, strict=True))
    on_samples, drawn = _by_scale(flow, again - samples), _by_scale(flow, samples)
    return RoundTrips(errors, on_samples, drift, drawn, log_prob)


def _by_scale(flow: tfd.Distribution, latents: np.ndarray) -> list[np.ndarray]:
    bijector = innermost_bijector(flow)
    if not isinstance(bijector, RealNVPBijector):
        return [latents]
    return [np.asarray(z) for z in bijector.split_latent(tf.constant(latents))]


def _round_trips_of_batch(
    flow: tfd.Distribution,
    x: np.ndarray,
    samples: np.ndarray,
    condition: np.ndarray | None,
) -> tuple[np.ndarray, ...]:
    bijector, ndims = flow.bijector, len(flow.event_shape)
    kwargs = distribution_kwargs(flow, training=False, condition=condition)
    events = tf.constant(x)
    log_prob = flow.log_prob(events, **kwargs)
    kwargs = kwargs.get("bijector_kwargs", {})
    # TFP's cache would return the tensor that a result came from, so each direction
    # starts at a new tensor, and one pass gives value and log-determinant.
    latents = bijector.inverse(events, **kwargs)
    inverse_log_det = bijector.inverse_log_det_jacobian(events, ndims, **kwargs)
    start = tf.identity(latents)
    back = bijector.forward(start, **kwargs)
    forward_log_det = bijector.forward_log_det_jacobian(start, ndims, **kwargs)

    drawn = bijector.forward(tf.constant(samples), **kwargs).numpy()
    is_finite = np.isfinite(drawn).reshape(len(drawn), -1).all(axis=1)
    # Bijectors that check their input would refuse values that are not finite.
    drawn[~is_finite] = x[~is_finite]
    again = bijector.inverse(tf.constant(drawn), **kwargs).numpy()
    again[~is_finite] = np.nan
    drift = forward_log_det + inverse_log_det
    return (back - events).numpy(), again, drift.numpy(), log_prob.numpy()


def round_trip(flow: tfd.Distribution) -> Callable[..., tf.Tensor]:
    """Returns a compiled function of events and conditions, `forward(inverse(x))`.

    It uses the bijector of the `tfd.TransformedDistribution`, and none of its base.
    """
    check_transformed(flow)

    @tf.function(autograph=False)
    def there_and_back(x: tf.Tensor, condition: Any = None) -> tf.Tensor:
        kwargs = distribution_kwargs(flow, training=False, condition=condition)
        kwargs = kwargs.get("bijector_kwargs", {})
        latents = flow.bijector.inverse(x, **kwargs)
        # For the same tensor the bijector's cache would return `x`.
        return flow.bijector.forward(tf.identity(latents), **kwargs)

    return there_and_back


def scores_by_statistics(
    model: FlowModel, *, compiled: bool = True
) -> Callable[..., list[np.ndarray]]:
    """Returns a function that scores events by running and by batch statistics.

    They are negative log-likelihoods in the model's units; the model is left as it was.
    If they differ, the moving averages do not fit the data under the present weights.
    """

    def score(x: tf.Tensor, condition: Any, training: bool) -> tf.Tensor:
        log_prob, _ = model.log_prob_parts(x, condition, training=training)
        return model.to_units(log_prob)

    run = tf.function(score, autograph=False) if compiled else score

    def scores(x: tf.Tensor, condition: Any = None) -> list[np.ndarray]:
        with unchanged(model.non_trainable_state):
            return [run(x, condition, training).numpy() for training in (False, True)]

    return scores


@dataclasses.dataclass(frozen=True)
class CouplingHealth:
    """Log-scales and dead channels of a coupling, on data.

    Saturated log-scales are within 1 % of the bound of a `ShiftAndLogScale`. Dead
    channels are hidden channels of a `ResNet` or `MLP`, in any layer, that are 0 on all
    data. For networks of other classes both are 0.
    """

    name: str
    saturated_share: float
    max_log_scale: float
    channels: int
    dead_channels: int


@contextlib.contextmanager
def watched_couplings(flow: tf.Module) -> Iterator[list[CouplingWatch]]:
    """Watches all couplings of a flow while it runs eagerly."""
    with contextlib.ExitStack() as stack:
        yield [
            CouplingWatch(part, name, stack)
            for part, name in part_names(flow)
            if isinstance(part, AffineCoupling)
        ]


class CouplingWatch:
    """Records what passes through a coupling until the stack is closed."""

    def __init__(
        self, coupling: AffineCoupling, name: str, stack: contextlib.ExitStack
    ):
        head = coupling.network
        is_bounded = isinstance(head, ShiftAndLogScale)
        self._name = name
        self._saturated_from = np.inf
        if is_bounded:
            self._saturated_from = _SATURATED_TANH * abs(float(head.gain))
        self._saturated, self._count, self._max = 0, 0, 0.0
        self._largest: dict[int, np.ndarray] = {}
        see = observed(coupling, "_shift_and_log_scale", self._see_log_scale)
        stack.enter_context(see)
        readers = _readers_of_activations(head.network if is_bounded else head)
        for i, (layer, method) in enumerate(readers):
            look = functools.partial(self._see_activations, i)
            stack.enter_context(observed(layer, method, look))

    def health(self) -> CouplingHealth:
        """Returns the summary of what was recorded."""
        layers = self._largest.values()
        return CouplingHealth(
            name=self._name,
            saturated_share=self._saturated / self._count,
            max_log_scale=self._max,
            channels=sum(map(len, layers)),
            dead_channels=sum(int((m <= _DEAD * m.max()).sum()) for m in layers),
        )

    def _see_log_scale(self, inputs: tuple[Any, ...], outputs: Any) -> None:
        mask = inputs[2]
        values = np.abs(outputs[1].numpy())
        is_changed = np.ones([], bool) if mask is None else mask.numpy() == 0
        self._count += int(np.broadcast_to(is_changed, values.shape).sum())
        is_high = values > self._saturated_from
        self._saturated += int((is_high & is_changed).sum())
        self._max = float(np.maximum(self._max, values.max()))

    def _see_activations(self, i: int, inputs: tuple[Any, ...], outputs: Any) -> None:
        values = tf.cast(inputs[0], tf.float64)
        largest = np.abs(values).max(axis=tuple(range(values.shape.rank - 1)))
        self._largest[i] = np.maximum(self._largest.get(i, 0.0), largest)


def _readers_of_activations(network: Any) -> list[tuple[keras.layers.Layer, str]]:
    """Returns pairs of a layer and its method that takes hidden activations."""
    if isinstance(network, ResNet):
        convs = [c for block in network.blocks for c in (block.conv_in, block.conv_out)]
        return [(conv, "scaled_and_shifted") for conv in (*convs, network.conv_out)]
    if isinstance(network, MLP):
        layers = (*network.hidden[1:], network.output_layer)
        return [(dense, "call") for dense in layers]
    return []
