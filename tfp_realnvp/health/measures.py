"""What is measured of a flow: round trips, either kind of statistics, couplings."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_realnvp.bijectors import AffineCoupling, FusedChain
from tfp_realnvp.figures.latents import draw_latents
from tfp_realnvp.flows.call_arguments import check_transformed, distribution_kwargs
from tfp_realnvp.flows.real_nvp import RealNVPBijector
from tfp_realnvp.nets import MLP, ResNet, ShiftAndLogScale
from tfp_realnvp.training.flow_model import FlowModel
from tfp_realnvp.training.functions import dequantized
from tfp_realnvp.training.non_finite import observed, part_names, unchanged

# The slope of tanh is 0.02 there, so its gradient is a fiftieth of what it was.
_SATURATED_TANH = 0.99
# Exactly 0 after a ReLU; smooth activations come close to it.
_DEAD = 1e-6


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
        largest, mean = float(finite.max()), float(finite.mean())
        quantile = float(np.quantile(finite, 0.999))
        return cls(largest, mean, quantile, errors.size - finite.size)


@dataclasses.dataclass(frozen=True)
class RoundTrips:
    """Differences that should all be 0 and are what rounding makes of them.

    Attributes:
      on_data: `forward(inverse(x)) - x`, of shape [N, *event_shape], in units of `x`.
      on_samples: `inverse(forward(z)) - z` by scale, finest first, of as many samples;
        those that are not finite give NaN.
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
    return RoundTrips(
        on_data=errors,
        on_samples=split_scales(flow, again - samples),
        log_det_drift=drift,
        drawn=split_scales(flow, samples),
        log_prob=log_prob,
    )


def split_scales(flow: tfd.Distribution, latents: np.ndarray) -> list[np.ndarray]:
    """Returns the latents of a flow by scale, finest first, or all in one."""
    bijector = flow.bijector
    # What is nearest to the latents comes last.
    while isinstance(bijector, (FusedChain, tfb.Chain)):
        bijector = bijector.bijectors[-1]
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


class RoundTrip:
    """The way of events to the latents and back, compiled once.

    Only the bijector of the `tfd.TransformedDistribution` counts, not one of its base.
    """

    def __init__(self, flow: tfd.Distribution):
        check_transformed(flow)
        self._flow = flow
        self._run = tf.function(self._there_and_back, autograph=False)

    def reconstruct(self, x: Any, condition: Any = None) -> tf.Tensor:
        """Returns `forward(inverse(x))` of real-valued events, and their conditions."""
        return self._run(tf.cast(x, self._flow.dtype), condition)

    def _there_and_back(self, x: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        kwargs = distribution_kwargs(self._flow, training=False, condition=condition)
        kwargs = kwargs.get("bijector_kwargs", {})
        latents = self._flow.bijector.inverse(x, **kwargs)
        # The bijector's cache would know where the very same tensor came from.
        return self._flow.bijector.forward(tf.identity(latents), **kwargs)


class StatisticsGap:
    """Scores of examples by either kind of statistics; the model is left as it was.

    A gap between the two means that the moving averages do not describe the data under
    the present weights. Without batch normalization there is none.
    """

    def __init__(self, model: FlowModel, *, run_eagerly: bool = False):
        self._model = model
        self._run = self._in_units
        if not run_eagerly:
            self._run = tf.function(self._in_units, autograph=False)

    def scores(
        self, x: Any, condition: Any = None, *, seed: Sequence[int] = (0, 0)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the scores of a batch by running statistics and by its own.

        Both are the negative log-likelihoods of the examples in the model's units.
        Integer images get the same noise for both.
        """
        model = self._model
        events = tf.cast(x, model.flow.dtype)
        if model.is_over_pixels and not tf.convert_to_tensor(x).dtype.is_floating:
            events = dequantized(events, tf.constant(seed))
        with unchanged(model.non_trainable_state):
            running, batch = (
                self._run(events, condition, training=training)
                for training in (False, True)
            )
            return running.numpy(), batch.numpy()

    def _in_units(
        self, x: tf.Tensor, condition: tf.Tensor | None, *, training: bool
    ) -> tf.Tensor:
        log_prob, _ = self._model.log_prob_parts(x, condition, training=training)
        return self._model.to_units(log_prob)


@dataclasses.dataclass(frozen=True)
class CouplingHealth:
    """What a coupling and its network do with data.

    Attributes:
      name: The way to the coupling in Python.
      saturated_share: Share of the log-scales that are within 1 % of their bound; 0 if
        the network is not a `ShiftAndLogScale`.
      max_log_scale: Largest absolute log-scale.
      channels: Channels of the network's hidden activations, of all layers together;
        0 if it is not a `ResNet` or `MLP`, into which nothing here looks.
      dead_channels: How many of them are 0 at all data.
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
        self._bound = abs(float(head.gain)) if is_bounded else 0.0
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
        if self._bound:
            is_high = values > _SATURATED_TANH * self._bound
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
        return [
            (dense, "call") for dense in (*network.hidden[1:], network.output_layer)
        ]
    return []
