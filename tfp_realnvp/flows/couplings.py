"""The networks and couplings of a flow, and the settings they share."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_realnvp.arguments import check_choice, shortened
from tfp_realnvp.bijectors import AffineCoupling, BatchNorm, Coupling
from tfp_realnvp.nets import MLP, BatchMoments, ResNet, ShiftAndLogScale
from tfp_realnvp.nets.parts import L2

MaskFunction = Callable[[Sequence[int]], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class ResNetConditioner:
    """Convolutional residual networks, the paper's over images.

    Args:
      filters: Python `int`, feature maps of the first couplings' networks. They double
        from scale to scale.
      num_blocks: Python `int`, residual blocks of every network.
      crelu: Python `bool`, whether networks see their inputs h as [relu(h), relu(-h)],
        as in the paper, or unchanged.
    """

    filters: int = 32
    num_blocks: int = 2
    crelu: bool = True

    def __call__(
        self, output_channels: int, *, level: int, regularizer: Any, **options: Any
    ) -> ResNet:
        """Returns the network of one coupling."""
        return ResNet(
            output_channels,
            filters=self.filters * 2**level,
            num_blocks=self.num_blocks,
            crelu=self.crelu,
            magnitude_regularizer=regularizer,
            **options,
        )


@dataclasses.dataclass(frozen=True)
class MLPConditioner:
    """Dense networks, for vectors.

    Args:
      hidden_units: Sequence of Python `int`s, widths of the hidden layers.
      activation: Name of a Keras activation, or a function. GELU is smooth, which makes
        the log-density's gradients smooth, and unbounded, so that tails can bend.
      residual: Python `bool`, whether hidden layers add to their input.
    """

    hidden_units: Sequence[int] = (64, 64)
    activation: Any = "gelu"
    residual: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.hidden_units, list):
            object.__setattr__(self, "hidden_units", tuple(self.hidden_units))

    def __call__(
        self,
        output_channels: int,
        *,
        condition_size: int | None,
        seed: int | None,
        dtype: str,
        **_: Any,
    ) -> MLP:
        """Returns the network of one coupling."""
        return MLP(
            output_channels,
            **vars(self),
            condition_size=condition_size,
            seed=seed,
            dtype=dtype,
        )


@dataclasses.dataclass(frozen=True)
class CouplingMaker:
    """The settings that all couplings of a flow share, as in `RealNVPBijector`."""

    conditioner: Callable[..., keras.layers.Layer]
    transform: Callable[[tf.Tensor], tfb.Bijector] | None
    condition_size: int | None
    batch_norm: Literal["batch", "moving"] | None
    momentum: float
    l2: float
    dtype: str
    network_dtype: str

    def __post_init__(self) -> None:
        # Layers are callable too, but couplings of a flow must not share a network.
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
        """Returns a coupling for each mask and its normalization, from data to latents.

        Widths have doubled `level` times; `initial_gain` is that of `ShiftAndLogScale`.
        """
        bijectors: list[tfb.Bijector] = []
        size = self.condition_size
        for mask in masks:
            network = self._network(event_shape, mask, level, next(seeds))
            if self.transform is None:
                head = ShiftAndLogScale(
                    network,
                    initial_gain=initial_gain,
                    gain_regularizer=self._regularizer(),
                    dtype=self.dtype,
                )
                coupling = AffineCoupling(event_shape, head, mask, condition_size=size)
            else:
                coupling = Coupling(
                    event_shape, network, mask, self.transform, condition_size=size
                )
            bijectors.append(coupling)
            if self.batch_norm is not None:
                moments = BatchMoments(
                    self.batch_norm, momentum=self.momentum, dtype=self.dtype
                )
                bijectors.append(BatchNorm(event_shape, moments, mask=mask))
        return bijectors

    def _network(
        self, event_shape: Sequence[int], mask: MaskFunction, level: int, seed: Any
    ) -> keras.layers.Layer:
        options = {
            "level": level,
            "condition_size": self.condition_size,
            "batch_norm": self.batch_norm,
            "momentum": self.momentum,
            "regularizer": self._regularizer(),
            "seed": seed,
            "dtype": self.network_dtype,
        }
        # Arguments of a `functools.partial` are already set.
        function = getattr(self.conditioner, "func", self.conditioner)
        said = getattr(self.conditioner, "keywords", {})
        parameters = inspect.signature(function).parameters
        taken = {*parameters}
        if inspect.isclass(function):
            # Layers pass arguments they do not name on to Keras, which takes this one.
            taken.add("dtype")
        elif any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            taken.update(options)
        num_parameters = getattr(self.transform, "num_parameters", 2)
        network = self.conditioner(
            num_parameters * _num_changed(event_shape, mask),
            **{k: v for k, v in options.items() if k in taken and k not in said},
        )
        if not isinstance(network, keras.layers.Layer):
            raise TypeError(
                "conditioner: expected a function that returns a Keras layer, got "
                f"{shortened(network)} from it."
            )
        return network

    def _regularizer(self) -> L2 | None:
        return L2(self.l2) if self.l2 else None


def resolve_network_dtype(network_dtype: str | None, dtype: tf.DType) -> str:
    """Returns the Keras dtype policy of the networks of a flow of `dtype`."""
    known = ["float32", "mixed_bfloat16"] if dtype == tf.float32 else [dtype.name]
    if network_dtype is None:
        policy = keras.config.dtype_policy().name
        # Other global policies only set the dtype of weights, which `dtype` sets here.
        is_mixed = dtype == tf.float32 and policy.startswith("mixed_")
        network_dtype = policy if is_mixed else dtype.name
    check_choice("network_dtype", network_dtype, known)
    return network_dtype


def _num_changed(event_shape: Sequence[int], mask: MaskFunction) -> int:
    """Returns the number of channels for which a network outputs parameters."""
    with tf.init_scope():
        passes = mask(event_shape).numpy()
    # One that varies over pixels changes some of each channel.
    return event_shape[-1] if passes.size > passes.shape[-1] else int((~passes).sum())
