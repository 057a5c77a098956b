"""All figures by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from tfp_realnvp.figures.catalog import attributes, drawn, latent
from tfp_realnvp.figures.catalog.figure import Figure, Subject


@dataclasses.dataclass(frozen=True)
class Entry:
    """How a figure is made.

    Attributes:
      make: Yields the `Figure`s of a `Subject`.
      obstacle: Returns why a `Subject` cannot have them, or `None`. Raises
        `ValueError` where other choices would allow it.
    """

    make: Callable[[Subject], Iterator[Figure]]
    obstacle: Callable[[Subject], str | None]


CATALOG: Mapping[str, Entry] = MappingProxyType(
    {
        "samples": Entry(drawn.samples, latent.obstacle_of(1)),
        "manifold": Entry(latent.manifold, latent.obstacle_of(4)),
        "interpolation": Entry(latent.interpolation, latent.obstacle_of(2)),
        "compression": Entry(latent.compression, latent.compression_obstacle),
        "animation": Entry(latent.animation, latent.obstacle_of(8)),
        "attribute_change": Entry(
            attributes.attribute_change, attributes.attribute_obstacle
        ),
        # Last, for what takes much memory may fail in spite of the estimate.
        "extrapolation": Entry(drawn.extrapolation, drawn.extrapolation_obstacle),
    }
)
