"""Flows for inference only."""

from __future__ import annotations

import copy

import keras
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_realnvp.bijectors import (
    BatchNorm,
    Conditioned,
    Coupling,
    FactorOut,
    FusedChain,
    InvertibleConv,
)
from tfp_realnvp.bijectors.fused_chain import Invert
from tfp_realnvp.flows.call_arguments import check_transformed, is_transformed
from tfp_realnvp.flows.image_flow import ImageFlow
from tfp_realnvp.flows.real_nvp import RealNVPBijector
from tfp_realnvp.nets import WeightNormConv2D
from tfp_realnvp.nets.parts import freeze_parts

# Bijectors with layers, and the names of these attributes.
_LAYERS = (
    (Coupling, "network"),
    (BatchNorm, "moments"),
    (InvertibleConv, "mixing"),
)


def freeze(flow: tfd.Distribution) -> tfd.Distribution:
    """Returns a copy of a trained flow that scores and samples faster and cannot train.

    Kernels are normalized once instead of at every call. The copy computes the same
    values up to rounding, whatever `training` is.

    It freezes the couplings, batch normalizations and convolutions of this package,
    with copies of their current weights. Bases and other bijectors are shared with
    `flow`. Weight files of either load into the other; from a `.keras` file the copy
    comes back as a flow that can train.

    Args:
      flow: `tfd.TransformedDistribution`.

    Returns:
      `tfd.TransformedDistribution`.

    Raises:
      TypeError: If `flow` is not one.

    #### Example

    ```python
    >>> import tfp_realnvp as nvp
    >>> flow = nvp.image_flow(event_shape=(4, 4, 1), filters=4, num_blocks=1)
    >>> frozen = nvp.freeze(flow)
    >>> frozen.trainable_variables
    ()
    >>> frozen.sample(2, seed=(0, 1)).shape
    TensorShape([2, 4, 4, 1])

    ```
    """
    check_transformed(flow)
    base, bijector = flow.distribution, _frozen(flow.bijector)
    if is_transformed(base):
        base = freeze(base)
    if base is flow.distribution and bijector is flow.bijector:
        return flow
    # `copy` would keep the original among the parameters of the copy.
    options = {
        name: flow.parameters[name]
        for name in ("kwargs_split_fn", "validate_args", "name")
        if name in flow.parameters
    }
    made = ImageFlow if isinstance(flow, ImageFlow) else tfd.TransformedDistribution
    return made(base, bijector, **options)


def _frozen(bijector: tfb.Bijector) -> tfb.Bijector:
    for kind, name in _LAYERS:
        if isinstance(bijector, kind):
            return bijector.copy(**{name: _frozen_layer(getattr(bijector, name))})
    if isinstance(bijector, RealNVPBijector):
        return bijector.copy(body=_frozen(bijector.body), memory="stored")
    if isinstance(bijector, (Conditioned, FactorOut)):
        return bijector.copy(bijector=_frozen(bijector.bijector))
    if isinstance(bijector, Invert):
        inner = _frozen(bijector.bijector)
        return bijector if inner is bijector.bijector else tfb.Invert(inner)
    if isinstance(bijector, (FusedChain, tfb.Composition)):
        members = tf.nest.map_structure(_frozen, bijector.bijectors)
        old, new = map(tf.nest.flatten, (bijector.bijectors, members))
        unchanged = all(one is other for one, other in zip(old, new, strict=True))
        return bijector if unchanged else bijector.copy(bijectors=members)
    return bijector


def _frozen_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    copied = copy.deepcopy(layer)
    freeze_parts([copied], [0])
    for part in copied._flatten_layers():
        if isinstance(part, WeightNormConv2D):
            part.freeze()
    return copied
