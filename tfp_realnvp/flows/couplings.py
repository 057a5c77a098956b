"""How the couplings of a flow are made, each with its normalization."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_realnvp.arguments import shortened
from tfp_realnvp.bijectors import AffineCoupling, BatchNorm, Coupling
from tfp_realnvp.nets import BatchMoments, ShiftAndLogScale
from tfp_realnvp.nets.parts import L2

MaskFunction = Callable[[Sequence[int]], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class CouplingMaker:
    """What all couplings of a flow have in common; fields as in `RealNVPBijector`."""

    conditioner: Callable[..., keras.layers.Layer]
    transform: Callable[[tf.Tensor], tfb.Bijector] | None
    condition_size: int | None
    batch_norm: Literal["batch", "moving"] | None
    momentum: float
    l2: float
    dtype: str
    network_dtype: str

    def __post_init__(self) -> None:
        # A layer can be called too, and a network that couplings share is no flow's.
        is_layer = isinstance(self.conditioner, keras.layers.Layer)
        if is_layer or not callable(self.conditioner):
            raise TypeError(
                "conditioner: expected a function that makes the network of each "
                f"coupling, got {shortened(self.conditioner)}."
            )
        if self.transform is not None and not hasattr(self.transform, "num_parameters"):
            raise TypeError(
                "transform: expected one that tells its num_parameters, such as "
                "nvp.Elementwise(function, num_parameters=2), got "
                f"{shortened(self.transform)}."
            )

    def __call__(
        self,
        event_shape: Sequence[int],
        masks: Iterable[MaskFunction],
        *,
        level: int,
        initial_gain: float,
        seeds: Iterator[int | None],
    ) -> list[tfb.Bijector]:
        """Returns a coupling for each mask, with its normalization if there is one.

        Args:
          event_shape: Shape of the events.
          masks: The masks, in the order from data to latents.
          level: Python `int`, how often widths have doubled.
          initial_gain: Python `float`, see `ShiftAndLogScale`.
          seeds: Those of the networks.
        """
        bijectors = []
        for mask in masks:
            network = self._network(event_shape, mask, level, next(seeds))
            if self.transform is None:
                head = ShiftAndLogScale(
                    network,
                    initial_gain=initial_gain,
                    gain_regularizer=self._regularizer(),
                    dtype=self.dtype,
                )
                bijectors.append(
                    AffineCoupling(
                        event_shape, head, mask, condition_size=self.condition_size
                    )
                )
            else:
                bijectors.append(
                    Coupling(
                        event_shape,
                        network,
                        mask,
                        self.transform,
                        condition_size=self.condition_size,
                    )
                )
            if self.batch_norm is not None:
                moments = BatchMoments(
                    self.batch_norm, momentum=self.momentum, dtype=self.dtype
                )
                bijectors.append(BatchNorm(event_shape, moments, mask=mask))
        return bijectors

    def _network(
        self, event_shape: Sequence[int], mask: MaskFunction, level: int, seed: Any
    ) -> keras.layers.Layer:
        outputs = getattr(self.transform, "num_parameters", 2)
        options = {
            "level": level,
            "condition_size": self.condition_size,
            "batch_norm": self.batch_norm,
            "momentum": self.momentum,
            "regularizer": self._regularizer(),
            "seed": seed,
            "dtype": self.network_dtype,
        }
        # What a `functools.partial` says is said.
        function = getattr(self.conditioner, "func", self.conditioner)
        said = getattr(self.conditioner, "keywords", {})
        taken = inspect.signature(function).parameters.values()
        names = {parameter.name for parameter in taken}
        if inspect.isclass(function):
            # What a layer's class does not name it hands on to Keras, which has this.
            names.add("dtype")
        elif any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken):
            names.update(options)
        options = {
            name: value
            for name, value in options.items()
            if name in names and name not in said
        }
        network = self.conditioner(outputs * _num_changed(event_shape, mask), **options)
        if not isinstance(network, keras.layers.Layer):
            raise TypeError(
                "conditioner: expected a function that returns a Keras layer, got "
                f"{shortened(network)} from it."
            )
        return network

    def _regularizer(self) -> L2 | None:
        return L2(self.l2) if self.l2 else None


def _num_changed(event_shape: Sequence[int], mask: MaskFunction) -> int:
    """Returns of how many channels a coupling's network gives parameters."""
    with tf.init_scope():
        passes = mask(event_shape).numpy()
    # One that varies over pixels changes some of each channel.
    return event_shape[-1] if passes.size > passes.shape[-1] else int((~passes).sum())
