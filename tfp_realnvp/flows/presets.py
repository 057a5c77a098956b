"""Named sizes: the paper's architectures, and small ones for a first try."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # Section 4.1: "8 residual blocks, 64 feature maps, and downscale only once",
        # with the batch normalization of Appendix E.
        "cifar10": MappingProxyType(
            {
                "event_shape": (32, 32, 3),
                "num_scales": 2,
                "filters": 64,
                "num_blocks": 8,
                "batch_norm": "moving",
            }
        ),
        "cifar10-small": MappingProxyType(
            {
                "event_shape": (32, 32, 3),
                "num_scales": 2,
                "filters": 16,
                "num_blocks": 2,
            }
        ),
        # Section 4.1: squeezing goes on until the last scale is 4 x 4.
        "imagenet32": MappingProxyType(
            {
                "event_shape": (32, 32, 3),
                "num_scales": 4,
                "filters": 32,
                "num_blocks": 4,
            }
        ),
        "imagenet64": MappingProxyType(
            {
                "event_shape": (64, 64, 3),
                "num_scales": 5,
                "filters": 32,
                "num_blocks": 2,
            }
        ),
        # The 64 x 64 images of Section 4.1, CelebA and LSUN, are modelled alike.
        "celeba64": MappingProxyType(
            {
                "event_shape": (64, 64, 3),
                "num_scales": 5,
                "filters": 32,
                "num_blocks": 2,
            }
        ),
        "digits": MappingProxyType(
            {
                "event_shape": (8, 8, 1),
                "num_scales": 2,
                "filters": 32,
                "num_blocks": 1,
            }
        ),
    }
)


def resolve_preset(preset: str) -> dict[str, Any]:
    """Returns a copy of the named preset.

    Raises:
      ValueError: If there is no such preset.
    """
    if preset not in PRESETS:
        known = ", ".join(sorted(PRESETS))
        raise ValueError(f"preset: expected one of {known}; got {preset!r}.")
    return dict(PRESETS[preset])
