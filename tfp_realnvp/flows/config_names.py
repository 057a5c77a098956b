"""What a configuration of a flow may name."""

from __future__ import annotations

from typing import Any, TypeGuard

from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_realnvp import bijectors
from tfp_realnvp.flows.real_nvp import RealNVPBijector

_OURS = {
    **{name: getattr(bijectors, name) for name in bijectors.__all__},
    "RealNVPBijector": RealNVPBijector,
}
SPACES = {"tfp_realnvp": _OURS, "tfb": vars(tfb), "tfd": vars(tfd)}
MASKS = {name: value for name, value in _OURS.items() if name.endswith("_mask")}


def is_bijector_or_distribution(value: Any) -> TypeGuard[type[Any]]:
    """Whether this is a class of bijectors or distributions."""
    return isinstance(value, type) and issubclass(
        value, (tfb.Bijector, tfd.Distribution)
    )
