"""The networks of a flow's couplings, by what is the same in all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfp_realnvp.nets import MLP, ResNet


@dataclasses.dataclass(frozen=True)
class ResNetConditioner:
    """Convolutional residual networks, the paper's over images.

    Args:
      filters: Python `int`, feature maps of the first couplings' networks. They double
        from scale to scale.
      num_blocks: Python `int`, residual blocks of every network.
      crelu: Python `bool`, whether networks see their inputs h as [relu(h), relu(-h)],
        which the paper does, or as they are.
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
      activation: Name of a Keras activation, or a function. GELU is smooth, and so are
        the gradients of the log-density, and not bounded, so that tails can bend.
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
            hidden_units=self.hidden_units,
            activation=self.activation,
            residual=self.residual,
            condition_size=condition_size,
            seed=seed,
            dtype=dtype,
        )
