"""Units of log-likelihoods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_realnvp.arguments import checked_array, checked_shape


def bits_per_dim(log_prob: Any, event_shape: Sequence[int]) -> Any:
    """Returns a log-density over pixels in [0, 256) as bits per dimension.

    ```none
    bits_per_dim = -log_prob / (D log 2),   D = product of event_shape
    ```

    Args:
      log_prob: Log-density in nats, array or `Tensor` of any shape.
      event_shape: Sequence of Python `int`s, shape of one image.

    Returns:
      What `log_prob` was, in bits per dimension. A uniform density over [0, 256)
      gives exactly 8.

    Raises:
      ValueError: If `log_prob` are no numbers, or `event_shape` is no shape.

    #### Example

    ```python
    >>> import math
    >>> import tfp_realnvp as nvp
    >>> nvp.bits_per_dim(-12 * math.log(256), event_shape=(2, 2, 3))
    8.0

    ```
    """
    shape = checked_shape(
        "event_shape", event_shape, expected="a sequence of positive ints"
    )
    if tf.is_tensor(log_prob) and not log_prob.dtype.is_floating:
        raise ValueError(
            f"log_prob: expected floating numbers, got {log_prob.dtype.name}."
        )
    if not (tf.is_tensor(log_prob) or type(log_prob) in (int, float)):
        log_prob = checked_array("log_prob", log_prob)
    dimensions = math.prod(shape)
    return -log_prob / (dimensions * math.log(2))
