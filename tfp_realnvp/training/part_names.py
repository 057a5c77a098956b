"""Names for the layers and bijectors inside a distribution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.bijectors import FusedBijector


def part_names(flow: tf.Module) -> list[tuple[Any, str]]:
    """Returns our bijectors and all Keras layers in a distribution, with their names.

    Returns:
      List of (part, name), each part once. A name is the way to the part in Python,
      for instance `flow.bijector.bijectors[0].network.conv_in`.
    """
    found: dict[int, tuple[Any, str]] = {}
    wanted = (FusedBijector, keras.layers.Layer)
    for path, part in flow._flatten(
        predicate=lambda value: isinstance(value, wanted), with_path=True
    ):
        for inner, name in _with_layers_inside(part, "flow" + _as_python(path)):
            if id(inner) not in found or len(name) < len(found[id(inner)][1]):
                found[id(inner)] = (inner, name)
    return list(found.values())


def _as_python(path: tuple[Any, ...]) -> str:
    # What TFP keeps in `_bijector` it shows as `bijector`.
    return "".join(
        f".{step.lstrip('_')}" if isinstance(step, str) else f"[{step!r}]"
        for step in path
    )


def _with_layers_inside(part: Any, name: str) -> Iterator[tuple[Any, str]]:
    yield part, name
    if not isinstance(part, keras.layers.Layer):
        return
    for attribute, value in vars(part).items():
        if attribute.startswith("_"):
            continue
        if isinstance(value, keras.layers.Layer):
            yield from _with_layers_inside(value, f"{name}.{attribute}")
        elif isinstance(value, list):
            for i, item in enumerate(value):
                if isinstance(item, keras.layers.Layer):
                    yield from _with_layers_inside(item, f"{name}.{attribute}[{i}]")
