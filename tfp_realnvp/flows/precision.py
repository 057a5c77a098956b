"""In which precision the networks of a flow compute."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.arguments import shortened


def checked_dtype(dtype: Any) -> tf.DType:
    """Returns the dtype of a flow, `tf.float32` or `tf.float64`.

    Raises:
      ValueError: If it is another.
    """
    try:
        found = tf.as_dtype(dtype)
    except (TypeError, ValueError):
        found = None
    if found not in (tf.float32, tf.float64):
        raise ValueError(
            f"dtype: expected tf.float32 or tf.float64, got {shortened(dtype)}."
        )
    return found


def resolve_network_dtype(network_dtype: str | None, dtype: tf.DType) -> str:
    """Returns the Keras dtype policy of the networks of a flow of `dtype`.

    Args:
      network_dtype: What the user gave: the name of a policy, or `None` for Keras's
        global policy where that is a mixed one, and for that of `dtype` elsewhere.
      dtype: Dtype of events and weights.

    Raises:
      ValueError: If it is neither `None`, nor the name of `dtype`, nor
        "mixed_bfloat16" for a float32 flow.
    """
    name = tf.as_dtype(dtype).name
    if network_dtype is None:
        # Others say of what dtype weights are, which here `dtype` does.
        global_name = keras.config.dtype_policy().name
        if name != "float32" or not global_name.startswith("mixed_"):
            return name
        network_dtype = global_name
    known = [name, "mixed_bfloat16"] if name == "float32" else [name]
    # A `tf.DType` is equal to its name, but no name.
    if isinstance(network_dtype, str) and network_dtype in known:
        return network_dtype
    reason = ""
    if isinstance(network_dtype, str) and network_dtype == "mixed_float16":
        reason = (
            " Gradients in float16 vanish unless the loss is scaled, which FlowModel "
            "does not do."
        )
    raise ValueError(
        f"network_dtype: expected {' or '.join(['None', *map(repr, known)])} for a "
        f"flow of dtype {name}, got {shortened(network_dtype)}.{reason}"
    )
