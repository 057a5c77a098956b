"""Arguments of `FlowModel` that Keras would not check, or not by name."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int, shortened


def check_optimizer(optimizer: Any, strategy: tf.distribute.Strategy) -> None:
    """Checks that Keras can train with an optimizer as it is asked to.

    Raises:
      ValueError: If it cannot.
    """
    if isinstance(optimizer, str):
        # Keras names neither the argument nor what there is.
        try:
            optimizer = keras.optimizers.get(optimizer)
        except ValueError:
            raise ValueError(
                "optimizer: expected a Keras optimizer or the name of one, got "
                f"{optimizer!r}."
            ) from None
    if not (optimizer is None or isinstance(optimizer, keras.optimizers.Optimizer)):
        raise ValueError(
            "optimizer: expected a Keras optimizer, the name of one, or None, got "
            f"{shortened(optimizer)}."
        )
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "optimizer: expected one without loss scaling, for a step that is not "
            "finite counts as failed here; got LossScaleOptimizer. bfloat16 needs "
            "none: make the flow with network_dtype='mixed_bfloat16'."
        )
    parts = getattr(optimizer, "gradient_accumulation_steps", None)
    made_under = getattr(optimizer, "_distribution_strategy", strategy)
    if made_under is not strategy:
        raise ValueError(
            "optimizer: expected one made in the scope of the model's "
            f"{type(strategy).__name__}, got one made outside of it."
        )
    with strategy.scope():
        is_distributed = tf.distribute.has_strategy()
    if parts and is_distributed:
        raise ValueError(
            "optimizer: expected none with gradient_accumulation_steps under a "
            f"{type(strategy).__name__}, where Keras cannot accumulate gradients; got "
            f"{parts}. Take more replicas or smaller batches instead."
        )


def checked_jit_compile(jit_compile: Any, strategy: tf.distribute.Strategy) -> bool:
    """Returns whether XLA is to compile the steps, `False` for `"auto"`.

    Raises:
      ValueError: If it is none of these, or XLA cannot.
    """
    if isinstance(jit_compile, str) and jit_compile == "auto":
        return False
    if not isinstance(jit_compile, (bool, np.bool_)):
        raise ValueError(
            'jit_compile: expected True, False or "auto", got '
            f"{shortened(jit_compile)}."
        )
    replicas = strategy.num_replicas_in_sync
    if jit_compile and replicas > 1:
        raise ValueError(
            f"jit_compile: expected False with {replicas} replicas, for XLA does not "
            "compile what replicas exchange inside a step; got True."
        )
    return bool(jit_compile)


def keras_arguments(
    method: Any,
    x: Any,
    condition: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> dict[str, Any]:
    """Returns what a method of `keras.Model` is to be given, by Keras's names."""
    # Keras's name for what comes with x; its own `fit` calls `evaluate` so.
    condition = kwargs.pop("y", None) if condition is None else condition
    bound = inspect.signature(method).bind(None, x, condition, *args, **kwargs)
    given = dict(bound.arguments)
    given.update(given.pop("kwargs", {}))
    del given["self"]
    return given


def check_counts(given: dict[str, Any]) -> None:
    """Raises `ValueError` if a number that Keras is to count to is none."""
    for name in (
        "batch_size",
        "steps_per_epoch",
        "steps",
        "validation_steps",
    ):
        if given.get(name) is not None:
            check_int(name, given[name])
    if "epochs" in given:
        check_int("epochs", given["epochs"])
    if given.get("initial_epoch") is not None:
        check_int("initial_epoch", given["initial_epoch"], least=0)


def refuse(given: dict[str, Any], names: tuple[str, ...]) -> None:
    """Raises `ValueError` for arguments of Keras that mean nothing to a density."""
    for name in names:
        if given.get(name) is not None:
            raise ValueError(
                f"{name}: expected None, for a FlowModel is trained and measured by "
                f"the likelihood of x alone; got {shortened(given[name])}."
            )
