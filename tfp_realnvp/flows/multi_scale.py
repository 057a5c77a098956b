"""How the couplings of an image flow are put together (Section 3.6)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Literal

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_realnvp.bijectors import (
    AffineCoupling,
    BatchNorm,
    FactorOut,
    FusedChain,
    InvertibleConv,
    Squeeze,
    channel_mask,
    checkerboard_mask,
    diagonal_mask,
)
from tfp_realnvp.nets import BatchMoments, ChannelMixing, ResNet, ShiftAndLogScale
from tfp_realnvp.nets.l2 import L2
from tfp_realnvp.nets.seeds import spawn_seeds


def multi_scale_chain(
    event_shape: tuple[int, int, int],
    *,
    num_scales: int,
    filters: int,
    num_blocks: int,
    invertible_conv: bool,
    crelu: bool,
    condition_size: int | None,
    batch_norm: Literal["batch", "moving"] | None,
    momentum: float,
    l2: float,
    seed: int | None,
    dtype: str,
    network_dtype: str,
) -> FusedChain:
    """Returns the chain that `RealNVPBijector` documents, with new weights."""
    height, width, channels = event_shape
    seeds = iter(spawn_seeds(seed, 4 if num_scales == 1 else 7))
    couplings = functools.partial(
        alternating_couplings,
        num_blocks=num_blocks,
        crelu=crelu,
        condition_size=condition_size,
        batch_norm=batch_norm,
        momentum=momentum,
        l2=l2,
        seeds=seeds,
        dtype=dtype,
        network_dtype=network_dtype,
    )
    if num_scales == 1:
        last = couplings(4, event_shape, checkerboard_mask, filters, initial_gain=0.0)
        return FusedChain(last, name="last_scale")
    squeezed_shape = (height // 2, width // 2, 4 * channels)
    checkerboard = couplings(
        3, event_shape, checkerboard_mask, filters, initial_gain=0.0
    )
    channelwise = couplings(
        3, squeezed_shape, channel_mask, 2 * filters, initial_gain=1.0
    )
    if invertible_conv:
        channelwise = _with_convolutions(channelwise, squeezed_shape, dtype)
    next_scale = multi_scale_chain(
        (height // 2, width // 2, 2 * channels),
        num_scales=num_scales - 1,
        filters=2 * filters,
        num_blocks=num_blocks,
        invertible_conv=invertible_conv,
        crelu=crelu,
        condition_size=condition_size,
        batch_norm=batch_norm,
        momentum=momentum,
        l2=l2,
        seed=next(seeds),
        dtype=dtype,
        network_dtype=network_dtype,
    )
    return FusedChain(
        [
            *checkerboard,
            tfb.Invert(Squeeze()),
            *channelwise,
            FactorOut(squeezed_shape, next_scale, diagonal_mask),
            Squeeze(),
        ],
        name="scale",
    )


def alternating_couplings(
    count: int,
    event_shape: tuple[int, int, int],
    mask: Callable[..., tf.Tensor],
    filters: int,
    *,
    initial_gain: float,
    num_blocks: int,
    crelu: bool,
    condition_size: int | None,
    batch_norm: Literal["batch", "moving"] | None,
    momentum: float,
    l2: float,
    seeds: Iterator[int | None],
    dtype: str,
    network_dtype: str,
) -> list[tfb.Bijector]:
    """Returns couplings with alternating masks, each with its normalization."""
    regularizer = L2(l2) if l2 else None
    channels = event_shape[-1]
    # A checkerboard coupling's network answers for all channels, a channel-wise
    # one's for the half that is transformed.
    output_channels = 2 * channels if mask is checkerboard_mask else channels
    bijectors = []
    for i in range(count):
        coupling_mask = functools.partial(mask, invert=bool(i % 2))
        network = ResNet(
            output_channels,
            filters=filters,
            num_blocks=num_blocks,
            batch_norm=batch_norm,
            momentum=momentum,
            crelu=crelu,
            magnitude_regularizer=regularizer,
            condition_size=condition_size,
            seed=next(seeds),
            dtype=network_dtype,
        )
        head = ShiftAndLogScale(
            network,
            initial_gain=initial_gain,
            gain_regularizer=regularizer,
            dtype=dtype,
        )
        coupling = AffineCoupling(
            event_shape, head, coupling_mask, condition_size=condition_size
        )
        bijectors.append(coupling)
        if batch_norm is not None:
            moments = BatchMoments(batch_norm, momentum=momentum, dtype=dtype)
            bijectors.append(BatchNorm(event_shape, moments, mask=coupling_mask))
    return bijectors


def _with_convolutions(
    bijectors: list[tfb.Bijector], event_shape: tuple[int, int, int], dtype: str
) -> list[tfb.Bijector]:
    """Returns the list with channels mixed before each coupling, towards latents."""
    mixed = []
    for bijector in bijectors:
        if isinstance(bijector, AffineCoupling):
            mixed.append(InvertibleConv(event_shape, ChannelMixing(dtype=dtype)))
        mixed.append(bijector)
    return mixed
