"""Units of log-likelihoods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


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

    #### Example

    ```python
    >>> import math
    >>> import tfp_realnvp as nvp
    >>> nvp.bits_per_dim(-12 * math.log(256), event_shape=(2, 2, 3))
    8.0

    ```
    """
    dimensions = int(np.prod(event_shape))
    return -log_prob / (dimensions * math.log(2))
