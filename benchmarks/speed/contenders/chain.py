"""A chain of couplings of one width, to see what more of them cost."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from speed.contenders import Prepared
from speed.contenders.ours import prepare_flow
from tfp_realnvp.flows.couplings import CouplingMaker
from tfp_realnvp.nets.parts import spawn_seeds

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
    couplings = CouplingMaker(
        nvp.ResNetConditioner(filters, num_blocks),
        transform=None,
        condition_size=None,
        batch_norm="batch",
        momentum=0.9,
        l2=5e-5,
        dtype="float32",
        network_dtype="float32",
    )
    members = couplings(
        event_shape,
        [
            functools.partial(nvp.checkerboard_mask, invert=bool(i % 2))
            for i in range(num_couplings)
        ],
        level=0,
        initial_gain=0.0,
        seeds=iter(spawn_seeds(0, num_couplings)),
    )
    return nvp.RealNVPBijector(
        event_shape, num_scales=1, body=nvp.FusedChain(members), memory=memory
    )
