"""Lets `pickle` and `copy.deepcopy` take TFP's wrappers.

Both make an object without arguments before they fill it. TFP's classes that wrap
others (`TransformedDistribution`, `Independent`, `Sample`, `Mixture`, `Invert`,
`Chain`, ...) choose their class by their arguments and fail on that, whatever they
wrap. Made anew from their parameters, they can be copied and sent to other processes.
"""

from __future__ import annotations

import copyreg
from typing import Any

from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd
from tensorflow_probability.python.distributions.transformed_distribution import (
    _TransformedDistribution,
)


def _reduce(wrapper: tfb.Bijector | tfd.Distribution) -> tuple[Any, ...]:
    return rebuild, (type(wrapper), dict(wrapper.parameters))


def rebuild(wrapper_class: type, parameters: dict[str, Any]) -> Any:
    """Returns a new object, for `__reduce__` to name with what it is made of."""
    return wrapper_class(**parameters)


def register() -> None:
    """Tells Python how TFP's wrappers are pickled and copied."""
    for candidate in (*vars(tfd).values(), *vars(tfb).values()):
        if (
            isinstance(candidate, type)
            and issubclass(candidate, (tfb.Bijector, tfd.Distribution))
            and "__new__" in vars(candidate)
        ):
            copyreg.pickle(candidate, _reduce)
    copyreg.pickle(_TransformedDistribution, _reduce)
