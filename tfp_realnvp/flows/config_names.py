"""What a configuration of a flow may name."""

from __future__ import annotations

import inspect
from typing import Any, TypeGuard

import keras
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_realnvp import bijectors
from tfp_realnvp.flows.image_flow import ImageFlow
from tfp_realnvp.flows.real_nvp import RealNVPBijector

_OURS = {
    **{name: getattr(bijectors, name) for name in bijectors.__all__},
    "ImageFlow": ImageFlow,
    "RealNVPBijector": RealNVPBijector,
}
SPACES = {"tfp_realnvp": _OURS, "tfb": vars(tfb), "tfd": vars(tfd)}
FUNCTIONS = {n: value for n, value in _OURS.items() if inspect.isfunction(value)}


def is_bijector_or_distribution(value: Any) -> TypeGuard[type[Any]]:
    """Whether this is a class of bijectors or distributions."""
    return isinstance(value, type) and issubclass(
        value, (tfb.Bijector, tfd.Distribution)
    )


def registered_name(value: Any) -> str | None:
    """Returns the name under which the user has registered a class or a function.

    That is by `keras.saving.register_keras_serializable`.
    """
    name = keras.saving.get_registered_name(value)
    return name if keras.saving.get_registered_object(name) is value else None
