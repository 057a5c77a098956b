"""What the first convolution of a residual network sees."""

from __future__ import annotations

from typing import cast

import tensorflow as tf


def features(hidden: tf.Tensor, context: tf.Tensor | None, crelu: bool) -> tf.Tensor:
    """Returns [relu(h), relu(-h), context], or without `crelu` [h, context]."""
    parts = [tf.nn.relu(hidden), tf.nn.relu(-hidden)] if crelu else [hidden]
    if context is not None:
        parts.append(tf.cast(context, hidden.dtype))
    return tf.concat(parts, axis=-1)


def features_shape(
    inputs_shape: tuple[int | None, ...],
    context_shape: tuple[int | None, ...] | None,
    crelu: bool,
) -> tuple[int | None, ...]:
    """Returns the shape of `features` for inputs and context of the given shapes."""
    # The layers before it have weights for each channel: their number is known.
    channels = cast(int, inputs_shape[-1]) * (2 if crelu else 1)
    context_channels = cast(int, context_shape[-1]) if context_shape else 0
    return (*inputs_shape[:-1], channels + context_channels)
