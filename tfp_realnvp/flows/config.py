"""Distributions and bijectors as plain values, and back.

What `FlowModel.get_config` holds. Reading it back calls constructors of TFP, Keras and
this package by their public names, and nothing else.
"""

from __future__ import annotations

from typing import Any

from tfp_realnvp.arguments import shortened
from tfp_realnvp.flows.config_reader import Reader, Refused
from tfp_realnvp.flows.config_writer import Writer


def to_config(value: Any) -> Any:
    """Returns `value` as numbers, strings, lists and dicts.

    Args:
      value: A `tfd.Distribution` or `tfb.Bijector` whose class is public in TFP or in
        this package, with parameters of the same kind: tensors, variables,
        `tfp.util.TransformedVariable`s, Keras layers, masks. The weights of Keras
        layers are not included, values of variables are. What occurs twice is shared.

    Raises:
      TypeError: If there is something else in it.
    """
    return Writer().write(value, "flow")


def from_config(config: Any) -> Any:
    """Returns what `to_config` was given, Keras layers with new weights.

    Raises:
      ValueError: If `config` is none of `to_config`.
    """
    try:
        return Reader().read(config)
    except Refused:
        raise
    except Exception as error:
        # Whatever constructors raise when they are given what they do not expect.
        raise ValueError(
            "flow: expected a configuration of a flow, got one that nothing can be "
            f"made of: {type(error).__name__}: {shortened(str(error))}"
        ) from error
