"""What a configuration of a flow may name."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, TypeGuard

import keras
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_realnvp import bijectors
from tfp_realnvp.flows.architectures import CouplingStack, MultiScale
from tfp_realnvp.flows.conditioners import MLPConditioner, ResNetConditioner
from tfp_realnvp.flows.image_flow import ImageFlow
from tfp_realnvp.flows.real_nvp import RealNVPBijector

_OURS = {
    **{name: getattr(bijectors, name) for name in bijectors.__all__},
    "ImageFlow": ImageFlow,
    "RealNVPBijector": RealNVPBijector,
    **{kind.__name__: kind for kind in (MultiScale, CouplingStack)},
    **{kind.__name__: kind for kind in (ResNetConditioner, MLPConditioner)},
}
SPACES = {"tfp_realnvp": _OURS, "tfb": vars(tfb), "tfd": vars(tfd)}
FUNCTIONS = {n: value for n, value in _OURS.items() if inspect.isfunction(value)}


def is_known(value: Any) -> TypeGuard[type[Any]]:
    """Whether this is a class of bijectors or distributions, or of what ours are of."""
    if not isinstance(value, type):
        return False
    is_tfp = issubclass(value, (tfb.Bijector, tfd.Distribution))
    return is_tfp or (is_part(value) and value in _OURS.values())


def is_part(value: Any) -> bool:
    """Whether this is, or is the class of, a part such as an architecture."""
    return dataclasses.is_dataclass(value)


def registered_name(value: Any) -> str | None:
    """Returns the name under which the user has registered a class or a function.

    That is by `keras.saving.register_keras_serializable`.
    """
    name = keras.saving.get_registered_name(value)
    return name if keras.saving.get_registered_object(name) is value else None
