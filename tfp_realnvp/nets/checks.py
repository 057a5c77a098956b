"""Checks of the arguments that several networks have, before any of their weights."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import keras

from tfp_realnvp.arguments import (
    check_choice,
    check_int,
    check_number,
    check_seed,
    shortened,
)
from tfp_realnvp.machine import check_fits

# Of each weight; what computes in half precision keeps its weights in float32.
_WEIGHT = 4
# Python, Keras and TensorFlow around a residual block, and around a dense layer. They
# reproduce the growth of a process that makes many.
_BLOCK = 500_000
_LAYER = 100_000


def check_momentum(momentum: Any) -> None:
    """Raises `ValueError` unless `momentum` is a number in [0, 1)."""
    check_number("momentum", momentum, least=0, most=1, expected="a value in [0, 1)")
    if momentum == 1:
        raise ValueError(f"momentum: expected a value in [0, 1), got {momentum}.")


def check_epsilon(epsilon: Any) -> None:
    """Raises `ValueError` unless `epsilon` is a number, 0 or more."""
    check_number("epsilon", epsilon, least=0, expected="0 or more, and finite")


def check_norm(batch_norm: Any, momentum: Any) -> None:
    """Raises `ValueError` unless a network can be normalized so."""
    check_choice("batch_norm", batch_norm, ("batch", "moving", None))
    check_momentum(momentum)


def check_network(condition_size: Any, seed: Any, *, width: int) -> None:
    """Raises `ValueError` unless a network can be made with these.

    Args:
      condition_size: As for `ResNet`.
      seed: As for `ResNet`.
      width: Python `int`, what the condition is projected to.
    """
    if condition_size is not None:
        check_int("condition_size", condition_size)
        needed = _WEIGHT * condition_size * width
        check_fits("condition_size", condition_size, needed, "weights")
    check_seed("seed", seed)


def check_widths(name: str, widths: Any) -> None:
    """Raises `ValueError` unless `widths` is a sequence of positive ints."""
    if not isinstance(widths, Sequence) or isinstance(widths, (str, bytes)):
        raise ValueError(
            f"{name}: expected a sequence of positive ints such as (64, 64), got "
            f"{shortened(widths)}."
        )
    if not widths:
        raise ValueError(f"{name}: expected at least one width, got none.")
    try:
        for width in widths:
            check_int(name, width)
    except ValueError as error:
        raise ValueError(
            f"{name}: expected a positive int for each layer, got {shortened(widths)}."
        ) from error


def checked_activation(activation: Any) -> Any:
    """Returns the function that an activation is.

    Raises:
      ValueError: If it is neither a function nor the name of one of Keras's.
    """
    try:
        found = keras.activations.get(activation)
    except (TypeError, ValueError, KeyError, AttributeError):
        found = None
    if not callable(found):
        raise ValueError(
            "activation: expected the name of a Keras activation, or a function, got "
            f"{shortened(activation)}."
        )
    return found


def checked_regularizer(name: str, regularizer: Any) -> Any:
    """Returns the Keras regularizer that is meant, `None` for none.

    Raises:
      ValueError: If it is neither a regularizer nor the name of one of Keras's.
    """
    try:
        found = keras.regularizers.get(regularizer)
    except (TypeError, ValueError, KeyError, AttributeError):
        found = 0
    if found is not None and not callable(found):
        raise ValueError(
            f"{name}: expected a Keras regularizer or None, got "
            f"{shortened(regularizer)}."
        )
    return found


def checked_initializer(name: str, initializer: Any) -> Any:
    """Returns the Keras initializer that is meant.

    Raises:
      ValueError: If it is neither an initializer nor the name of one of Keras's.
    """
    try:
        found = keras.initializers.get(initializer)
    except (TypeError, ValueError, KeyError, AttributeError):
        found = None
    # Keras takes whatever is an array for one.
    is_meant = isinstance(initializer, (str, dict)) or callable(initializer)
    if not is_meant or not callable(found):
        raise ValueError(
            f"{name}: expected a Keras initializer, got {shortened(initializer)}."
        )
    return found


def check_res_net_fits(filters: int, num_blocks: int, channels: int) -> None:
    """Checks that a `ResNet` fits in memory.

    Args:
      filters: Python `int`, as for `ResNet`.
      num_blocks: Python `int`, as for `ResNet`.
      channels: Python `int`, those of its output.

    Raises:
      ValueError: If it would not.
    """
    # Two convolutions of 3 x 3 in each block, and one of 1 x 1 beside it.
    weights = 19 * num_blocks * filters**2 + 20 * channels * filters
    asked = f"the weights of {filters} feature maps"
    check_fits("num_blocks", num_blocks, _BLOCK * num_blocks, "networks")
    check_fits("filters", filters, _WEIGHT * weights, asked)


def check_mlp_fits(hidden_units: Sequence[int], outputs: int) -> None:
    """Checks that an `MLP` fits in memory.

    Raises:
      ValueError: If it would not.
    """
    weights = sum(a * b for a, b in itertools.pairwise(hidden_units))
    last = hidden_units[-1] * outputs
    needed = _WEIGHT * (weights + last)
    if last > weights:
        check_fits("output_units", outputs, needed, "weights")
    check_fits("hidden_units", hidden_units, needed, "weights")
    check_fits("hidden_units", hidden_units, _LAYER * len(hidden_units), "layers")
