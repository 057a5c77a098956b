"""How the flow of each preset is trained, unless said otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tfp_realnvp.flows.presets import resolve_preset

_DEFAULT = MappingProxyType(
    {
        "batch_size": 64,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "warmup_steps": 0,
        "average_decay": None,
    }
)

# What `docs/results.md` found to be better.
_PLUS = MappingProxyType(
    {
        **_DEFAULT,
        "learning_rate": 4e-3,
        "schedule": "trapezoid",
        "warmup_steps": 100,
    }
)

RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # Section 4.1: "ADAM with default hyperparameters".
        "cifar10": MappingProxyType({**_DEFAULT, "schedule": "constant"}),
        "cifar10-plus": _PLUS,
        "digits": _PLUS,
    }
)


def recipe_of(preset: str) -> dict[str, Any]:
    """Returns the arguments of `RunConfig` that a preset's flow is trained with.

    Raises:
      ValueError: If there is no such preset.
    """
    resolve_preset(preset)
    return dict(RECIPES.get(preset, _DEFAULT))
