"""What the couplings of a flow do with data: scales at their bound, dead channels."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors import AffineCoupling, BatchNorm
from tfp_realnvp.bijectors.masks import resolve_mask
from tfp_realnvp.nets import MLP, BatchNormalization, ResNet, ShiftAndLogScale
from tfp_realnvp.training.flow_model import FlowModel
from tfp_realnvp.training.parts import observed, part_names

# The slope of tanh is 0.02 there, so its gradient is a fiftieth of what it was.
SATURATED_TANH = 0.99
# Exactly 0 after a ReLU; smooth activations come close to it.
_DEAD = 1e-6


@dataclasses.dataclass(frozen=True)
class CouplingHealth:
    """What a coupling and its network do with data.

    Attributes:
      name: The way to the coupling in Python.
      gain: Bound of its log-scales; `None` if its network is no `ShiftAndLogScale`.
      saturated_share: Share of the log-scales whose tanh is beyond `SATURATED_TANH`,
        or `None`.
      max_log_scale: Largest absolute log-scale.
      channels: Channels of the network's hidden activations, of all layers together;
        `None` if it is no `ResNet` or `MLP`, into which nothing here looks.
      dead_channels: How many of them are 0 at all data.
    """

    name: str
    gain: float | None
    saturated_share: float | None
    max_log_scale: float
    channels: int | None
    dead_channels: int | None

    @property
    def dead_share(self) -> float:
        """Share of the channels that are dead."""
        if not self.channels or self.dead_channels is None:
            return 0.0
        return self.dead_channels / self.channels


@dataclasses.dataclass(frozen=True)
class FlatNorm:
    """A batch normalization of channels that do not vary.

    Attributes:
      name: The way to it in Python.
      flat_channels: How many have a running variance below its `epsilon`.
      channels: How many it normalizes.
      smallest_variance: The smallest running variance.
      epsilon: What it adds to the variance.
    """

    name: str
    flat_channels: int
    channels: int
    smallest_variance: float
    epsilon: float


@contextlib.contextmanager
def watched_couplings(flow: tf.Module) -> Iterator[list[CouplingWatch]]:
    """Watches all couplings of a flow while it is run outside of graphs."""
    with contextlib.ExitStack() as stack:
        watches = [
            CouplingWatch(part, name, stack)
            for part, name in part_names(flow)
            if isinstance(part, AffineCoupling)
        ]
        yield watches


class CouplingWatch:
    """Takes note of what passes through a coupling.

    Args:
      coupling: `AffineCoupling`.
      name: The way to it in Python.
      stack: Ends the watch when it is closed.
    """

    def __init__(
        self, coupling: AffineCoupling, name: str, stack: contextlib.ExitStack
    ):
        self._name = name
        head = coupling.network
        self._has_bound = isinstance(head, ShiftAndLogScale)
        self._gain = float(head.gain) if self._has_bound else None
        self._saturated, self._count, self._max = 0, 0, 0.0
        stack.enter_context(
            observed(coupling, "_shift_and_log_scale", self._see_log_scale)
        )
        network = head.network if self._has_bound else head
        readers = _readers_of_activations(network)
        self._is_looked_into = readers is not None
        self._largest: dict[int, np.ndarray] = {}
        for i, (layer, method) in enumerate(readers or ()):
            see = functools.partial(self._see_activations, i)
            stack.enter_context(observed(layer, method, see))

    def health(self) -> CouplingHealth:
        """Returns what has been seen."""
        return CouplingHealth(
            self._name,
            self._gain,
            self._saturated / self._count if self._has_bound else None,
            self._max,
            self._sum_over_layers(len),
            self._sum_over_layers(_count_dead),
        )

    def _see_log_scale(self, inputs: tuple[Any, ...], outputs: Any) -> None:
        mask = inputs[2]
        values = np.abs(outputs[1].numpy())
        is_changed = np.ones([], bool) if mask is None else mask.numpy() == 0
        self._count += int(np.broadcast_to(is_changed, values.shape).sum())
        if self._gain:
            is_high = values > SATURATED_TANH * abs(self._gain)
            self._saturated += int((is_high & is_changed).sum())
        self._max = float(np.maximum(self._max, values.max()))

    def _sum_over_layers(self, count: Callable[[np.ndarray], int]) -> int | None:
        return sum(map(count, self._largest.values())) if self._is_looked_into else None

    def _see_activations(self, i: int, inputs: tuple[Any, ...], outputs: Any) -> None:
        values = inputs[0]
        axes = list(range(values.shape.rank - 1))
        largest = tf.reduce_max(tf.abs(values), axis=axes)
        largest = tf.cast(largest, tf.float64).numpy()
        self._largest[i] = np.maximum(self._largest.get(i, 0.0), largest)


def flat_norms(flow: tf.Module) -> list[FlatNorm]:
    """Returns the batch normalizations with channels that hardly vary.

    Where the variance is below `epsilon`, that is what the result depends on, and no
    longer the data.
    """
    found = []
    for part, name in part_names(flow):
        if not isinstance(part, (BatchNorm, BatchNormalization)):
            continue
        variance = part.moments.moving_variance.numpy()
        if isinstance(part, BatchNorm):
            variance = variance[_normalized_channels(part)]
        epsilon = (
            part.parameters["epsilon"] if isinstance(part, BatchNorm) else part.epsilon
        )
        flat = int((variance < epsilon).sum())
        if flat:
            smallest = float(variance.min())
            found.append(FlatNorm(name, flat, len(variance), smallest, epsilon))
    return found


def non_finite_weights(model: FlowModel) -> list[str]:
    """Returns the names of the weights of a `FlowModel` that hold NaN or infinity."""
    names = {
        id(value): f"{name}.{attribute}"
        for part, name in part_names(model.flow)
        for attribute, value in vars(part).items()
        if isinstance(value, keras.Variable)
    }
    return [
        names.get(id(weight), weight.path)
        for weight in model.weights
        if not np.isfinite(tf.cast(weight.value, tf.float64)).all()
    ]


def _normalized_channels(norm: BatchNorm) -> np.ndarray:
    """Returns which channels count; what a mask passes through has no moments."""
    event_shape, mask = norm.parameters["event_shape"], norm.parameters["mask"]
    if mask is None:
        return np.ones(event_shape[-1], bool)
    passed = np.broadcast_to(resolve_mask(mask, event_shape).numpy(), event_shape)
    return np.asarray(~passed.all(axis=tuple(range(len(event_shape) - 1))))


def _readers_of_activations(
    network: keras.layers.Layer,
) -> list[tuple[keras.layers.Layer, str]] | None:
    """Returns the layers, and methods of theirs, that get what has been activated."""
    if isinstance(network, ResNet):
        convs = [c for block in network.blocks for c in (block.conv_in, block.conv_out)]
        return [(conv, "scaled_and_shifted") for conv in (*convs, network.conv_out)]
    if isinstance(network, MLP):
        return [
            (dense, "call") for dense in (*network.hidden[1:], network.output_layer)
        ]
    return None


def _count_dead(largest: np.ndarray) -> int:
    return int((largest <= _DEAD * largest.max()).sum())
