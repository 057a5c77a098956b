"""The check that a network is given a condition if, and only if, it takes one."""

from __future__ import annotations

import keras
import tensorflow as tf


def check_condition(
    network: keras.layers.Layer,
    condition_size: int | None,
    condition: tf.Tensor | None,
) -> None:
    """Raises `ValueError` if `condition` is missing, unwanted or of another length."""
    expected = "None" if condition_size is None else f"shape (N, {condition_size})"
    got = "None" if condition is None else f"shape {tuple(condition.shape)}"
    if condition_size is None:
        fits = condition is None
    else:
        fits = condition is not None and condition.shape[-1] == condition_size
    if not fits:
        raise ValueError(
            f"condition: expected {expected} for the network {network.name!r} with "
            f"condition_size={condition_size}, got {got}."
        )
