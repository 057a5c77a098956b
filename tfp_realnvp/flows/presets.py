"""Named sizes: the paper's architectures, and small ones for a first try."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tfp_realnvp.arguments import check_choice

# Section 4.1: squeezing goes on until the last scale is 4 x 4.
_PAPER_32 = {
    "event_shape": (32, 32, 3),
    "num_scales": 4,
    "filters": 32,
    "num_blocks": 4,
}
_PAPER_64 = {
    "event_shape": (64, 64, 3),
    "num_scales": 5,
    "filters": 32,
    "num_blocks": 2,
}
# "8 residual blocks, 64 feature maps, and downscale only once".
_PAPER_CIFAR10 = {
    "event_shape": (32, 32, 3),
    "num_scales": 2,
    "filters": 64,
    "num_blocks": 8,
}
# What `docs/results.md` found to be better.
_PLUS = {"invertible_conv": True, "crelu": False}
_SIZES: dict[str, dict[str, Any]] = {
    # The batch normalization of Appendix E. The paper does not give its momentum; with
    # the default, 0.9, training is far slower.
    "cifar10": {**_PAPER_CIFAR10, "batch_norm": "moving", "momentum": 0.1},
    "cifar10-plus": {**_PAPER_CIFAR10, **_PLUS},
    "cifar10-small": {**_PAPER_CIFAR10, "filters": 16, "num_blocks": 2},
    "imagenet32": _PAPER_32,
    "imagenet64": _PAPER_64,
    "celeba": _PAPER_64,
    "lsun_bedroom": _PAPER_64,
    "lsun_church_outdoor": _PAPER_64,
    "lsun_tower": _PAPER_64,
    "digits": {
        "event_shape": (8, 8, 1),
        "num_scales": 2,
        "filters": 32,
        "num_blocks": 1,
        **_PLUS,
    },
}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {name: MappingProxyType(sizes) for name, sizes in _SIZES.items()}
)

# For data sets without a preset of their own.
_SMALL = "cifar10-small"
_OTHER_DATA_SETS = {
    "cifar10-plus": "cifar10",
    "cifar10-small": "cifar10",
    "celeba": "celeb_a",
}


def resolve_preset(preset: str) -> dict[str, Any]:
    """Returns a copy of the named preset."""
    check_choice("preset", preset, sorted(PRESETS))
    return dict(PRESETS[preset])


def dataset_of(preset: str) -> str:
    """Returns the name of the data set that the preset is for."""
    check_choice("preset", preset, sorted(PRESETS))
    return _OTHER_DATA_SETS.get(preset, preset)


def preset_for(dataset: str) -> str:
    """Returns the name of the preset to model this data set with."""
    return next((name for name in PRESETS if dataset_of(name) == dataset), _SMALL)
