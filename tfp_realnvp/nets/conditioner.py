"""Networks of couplings, ours and others: building them, and what they can be given."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

import keras


def takes(layer: keras.layers.Layer, argument: str) -> bool:
    """Whether a layer can be called with a keyword argument.

    A head, a layer around the `network` that it hands its arguments to, can if that
    network can.
    """
    takes_it = argument in inspect.signature(layer.call).parameters
    inner = getattr(layer, "network", None)
    if takes_it and isinstance(inner, keras.layers.Layer):
        return takes(inner, argument)
    return takes_it


def build(
    layer: keras.layers.Layer,
    inputs_shape: Sequence[int | None],
    shapes: Mapping[str, Sequence[int | None]],
) -> None:
    """Makes the weights of a layer, whether it has a method `build` or not.

    Args:
      layer: Any Keras layer; one that is built stays as it is.
      inputs_shape: Shape of its input, the batch first.
      shapes: Shapes of further arguments by their names.
    """
    if layer.built:
        return

    def tensor(shape: Sequence[int | None]) -> keras.KerasTensor:
        return keras.KerasTensor(tuple(shape), layer.variable_dtype)

    layer(tensor(inputs_shape), **{name: tensor(s) for name, s in shapes.items()})
