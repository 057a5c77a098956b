"""Spelling keyword arguments for bijectors inside bijectors."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_realnvp.bijectors.fused import FusedBijector
from tfp_realnvp.bijectors.members import Invert


def nested_kwargs(bijector: tfb.Bijector, **kwargs: Any) -> dict[str, Any]:
    """Returns the `bijector_kwargs` that bring `kwargs` to each of our bijectors.

    TFP passes keyword arguments to a member of a `tfb.Chain` under the member's
    name, to the inside of a `tfb.Invert` as they are, and would pass them to its own
    bijectors, which refuse them.

    Args:
      bijector: Any `tfb.Bijector`.
      **kwargs: What our bijectors shall be given, such as `training=True`. A
        `condition` goes to those alone that take one.

    Returns:
      `dict`, empty if none of our bijectors is reached.

    Raises:
      ValueError: If members of one name must be given different arguments.

    #### Example

    ```python
    >>> import tensorflow_probability as tfp
    >>> import tfp_realnvp as nvp
    >>> from tfp_realnvp.bijectors.nested_kwargs import nested_kwargs
    >>> chain = tfp.bijectors.Chain([tfp.bijectors.Exp(), nvp.BatchNorm((2,))])
    >>> nested_kwargs(chain, training=True)
    {'batch_norm': {'training': True}}

    ```
    """
    if isinstance(bijector, FusedBijector):
        if bijector.condition_size is None:
            return {name: v for name, v in kwargs.items() if name != "condition"}
        return kwargs
    if isinstance(bijector, Invert):
        return nested_kwargs(bijector.bijector, **kwargs)
    if isinstance(bijector, tfb.Composition):
        found: dict[str, Any] = {}
        for member in tf.nest.flatten(bijector.bijectors):
            inner = nested_kwargs(member, **kwargs)
            if found.setdefault(member.name, inner).keys() != inner.keys():
                raise ValueError(
                    "bijector: expected members of different names, for a "
                    f"{type(bijector).__name__} passes arguments by name; got two "
                    f"called {member.name!r} of which one takes "
                    f"{' and '.join({**found[member.name], **inner})}."
                )
        return {name: inner for name, inner in found.items() if inner}
    return {}
