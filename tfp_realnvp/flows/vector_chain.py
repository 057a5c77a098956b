"""How the couplings of a vector flow are put together."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal

import tensorflow as tf

from tfp_realnvp.bijectors import (
    AffineCoupling,
    BatchNorm,
    FusedChain,
    alternating_mask,
    channel_mask,
)
from tfp_realnvp.nets import MLP, BatchMoments, ShiftAndLogScale
from tfp_realnvp.nets.l2 import L2
from tfp_realnvp.nets.seeds import spawn_seeds

# Two halves alone would never tell apart the entries of one half. In this order no two
# couplings in a row have the same mask, of two entries either: they would be one.
_MASKS = (
    channel_mask,
    functools.partial(channel_mask, invert=True),
    functools.partial(alternating_mask, invert=True),
    alternating_mask,
)


def vector_chain(
    event_shape: tuple[int],
    *,
    num_couplings: int,
    hidden_units: Sequence[int],
    activation: Any,
    residual: bool,
    condition_size: int | None,
    batch_norm: Literal["batch", "moving"] | None,
    momentum: float,
    l2: float,
    seed: int | None,
    dtype: str,
    network_dtype: str,
) -> FusedChain:
    """Returns the chain that `RealNVPBijector` documents, with new weights."""
    (size,) = event_shape
    regularizer = L2(l2) if l2 else None
    bijectors = []
    for i, network_seed in enumerate(spawn_seeds(seed, num_couplings)):
        mask = _MASKS[i % len(_MASKS)]
        with tf.init_scope():
            num_kept = int(mask(event_shape).numpy().sum())
        network = MLP(
            2 * (size - num_kept),
            hidden_units=hidden_units,
            activation=activation,
            residual=residual,
            condition_size=condition_size,
            seed=network_seed,
            dtype=network_dtype,
        )
        head = ShiftAndLogScale(
            network, initial_gain=1.0, gain_regularizer=regularizer, dtype=dtype
        )
        coupling = AffineCoupling(
            event_shape, head, mask, condition_size=condition_size
        )
        bijectors.append(coupling)
        if batch_norm is not None:
            moments = BatchMoments(batch_norm, momentum=momentum, dtype=dtype)
            bijectors.append(BatchNorm(event_shape, moments, mask=mask))
    return FusedChain(bijectors, name="couplings")
