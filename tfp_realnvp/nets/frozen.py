"""Copies of networks for inference alone."""

from __future__ import annotations

import copy

import keras


def frozen(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Returns a copy of a layer that computes the same, faster where it knows how.

    Its weights are its own and cannot be trained. A layer with a method `frozen` is
    asked for the copy; any other is copied as it is.
    """
    if hasattr(layer, "frozen"):
        return layer.frozen()
    copied = copy.deepcopy(layer)
    copied.trainable = False
    return copied
