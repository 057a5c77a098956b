"""What is measured of a flow: round trips, either kind of statistics, couplings."""

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

# The slope of tanh is 0.02 there, so its gradient is a fiftieth of what it was.
_SATURATED_TANH = 0.99
# Exactly 0 after a ReLU; smooth activations come close to it.
_DEAD = 1e-6


@dataclasses.dataclass(frozen=True)
class Errors:
    """What there is to know of many absolute errors, less those that are not finite."""

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
    """How exactly something comes back; the share `wrong_share` does not."""

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
    """Differences that would be 0 in exact arithmetic, of N examples.

    Those of samples are by scale, finest first, and NaN where a sample is not finite.
    Each log-determinant of `log_det_drift` comes from a pass of its own.
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

    Events are real-valued, over pixels in [0, 256), and conditions vectors.
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
    drawn[~is_finite] = x[~is_finite]
    again = bijector.inverse(tf.constant(drawn), **kwargs).numpy()
    again[~is_finite] = np.nan
    drift = forward_log_det + inverse_log_det
    return (back - events).numpy(), again, drift.numpy(), log_prob.numpy()


def round_trip(flow: tfd.Distribution) -> Callable[..., tf.Tensor]:
    """Returns `forward(inverse(x))` as a function of events and conditions, compiled.

    Only the bijector of the `tfd.TransformedDistribution` counts, not one of its base.
    """
    check_transformed(flow)

    @tf.function(autograph=False)
    def there_and_back(x: tf.Tensor, condition: Any = None) -> tf.Tensor:
        kwargs = distribution_kwargs(flow, training=False, condition=condition)
        kwargs = kwargs.get("bijector_kwargs", {})
        latents = flow.bijector.inverse(x, **kwargs)
        # The bijector's cache would know where the very same tensor came from.
        return flow.bijector.forward(tf.identity(latents), **kwargs)

    return there_and_back


def scores_by_statistics(
    model: FlowModel, *, compiled: bool = True
) -> Callable[..., list[np.ndarray]]:
    """Returns a function to scores of events by running and by their own statistics.

    They are negative log-likelihoods in the model's units, and the model is left as it
    was. Where the two differ, the moving averages do not describe the data under the
    present weights.
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
    """What a coupling and its network do with data.

    Of the log-scales a share is within 1 % of the bound of a `ShiftAndLogScale`; of the
    hidden channels of a `ResNet` or `MLP`, in all layers, some are 0 at all data. For
    networks of other classes these are 0.
    """

    name: str
    saturated_share: float
    max_log_scale: float
    channels: int
    dead_channels: int


@contextlib.contextmanager
def watched_couplings(flow: tf.Module) -> Iterator[list[CouplingWatch]]:
    """Watches all couplings of a flow while it is run outside of graphs."""
    with contextlib.ExitStack() as stack:
        yield [
            CouplingWatch(part, name, stack)
            for part, name in part_names(flow)
            if isinstance(part, AffineCoupling)
        ]


class CouplingWatch:
    """Takes note of what passes through a coupling until the stack is closed."""

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
        """Returns what has been seen."""
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
    """Returns the layers, and methods of theirs, that get what has been activated."""
    if isinstance(network, ResNet):
        convs = [c for block in network.blocks for c in (block.conv_in, block.conv_out)]
        return [(conv, "scaled_and_shifted") for conv in (*convs, network.conv_out)]
    if isinstance(network, MLP):
        layers = (*network.hidden[1:], network.output_layer)
        return [(dense, "call") for dense in layers]
    return []
