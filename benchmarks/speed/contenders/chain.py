"""A chain of couplings of one width, to see what more of them cost."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from speed.contenders import Prepared
from speed.contenders.ours import prepare_flow
from tfp_realnvp.flows.multi_scale import alternating_couplings
from tfp_realnvp.nets.seeds import spawn_seeds

tfb, tfd = tfp.bijectors, tfp.distributions


def prepare(cell: dict[str, Any], memory: str) -> Prepared:
    sizes = dict(cell["sizes"])
    event_shape = tuple(sizes.pop("event_shape"))
    chain = chain_of_couplings(event_shape, memory=memory, **sizes)
    base = tfd.Independent(tfd.Normal(tf.zeros(event_shape), 1.0), 3)
    bijector = nvp.FusedChain([nvp.PixelLogit(), chain])
    flow = tfd.TransformedDistribution(base, bijector)
    return prepare_flow(flow, cell["batch"], ["train"])


def chain_of_couplings(
    event_shape: tuple[int, int, int],
    *,
    num_couplings: int,
    filters: int,
    num_blocks: int,
    memory: str,
) -> tfb.Bijector:
    """Returns checkerboard couplings, each with its normalization."""
    members = alternating_couplings(
        num_couplings,
        event_shape,
        nvp.checkerboard_mask,
        filters,
        initial_gain=0.0,
        num_blocks=num_blocks,
        crelu=True,
        condition_size=None,
        batch_norm="batch",
        momentum=0.9,
        l2=5e-5,
        seeds=iter(spawn_seeds(0, num_couplings)),
        dtype="float32",
        network_dtype="float32",
    )
    return nvp.RealNVPBijector(
        event_shape, num_scales=1, body=nvp.FusedChain(members), memory=memory
    )
