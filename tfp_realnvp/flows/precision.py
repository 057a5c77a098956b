"""In which precision the networks of a flow compute."""

from __future__ import annotations

import tensorflow as tf


def resolve_network_dtype(network_dtype: str | None, dtype: tf.DType) -> str:
    """Returns the Keras dtype policy of the networks of a flow of `dtype`.

    Args:
      network_dtype: What the user gave: the name of a policy, or `None` for that of
        `dtype`.
      dtype: Dtype of events and weights.

    Raises:
      ValueError: If it is neither `None`, nor the name of `dtype`, nor
        "mixed_bfloat16" for a float32 flow.
    """
    name = tf.as_dtype(dtype).name
    if network_dtype is None:
        return name
    known = [name, "mixed_bfloat16"] if name == "float32" else [name]
    # A `tf.DType` is equal to its name, but no name.
    if isinstance(network_dtype, str) and network_dtype in known:
        return network_dtype
    reason = ""
    if network_dtype == "mixed_float16":
        reason = (
            " Gradients in float16 vanish unless the loss is scaled, which FlowModel "
            "does not do."
        )
    raise ValueError(
        f"network_dtype: expected {' or '.join(['None', *map(repr, known)])} for a "
        f"flow of dtype {name}, got {network_dtype!r}.{reason}"
    )
