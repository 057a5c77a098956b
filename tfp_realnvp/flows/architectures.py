"""Architectures: chains of couplings, and the latents of each scale in them."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_flag, check_int
from tfp_realnvp.bijectors import (
    ChannelMixing,
    Coupling,
    FactorOut,
    FusedChain,
    InvertibleConv,
    Squeeze,
    alternating_mask,
    channel_mask,
    checkerboard_mask,
    diagonal_mask,
)
from tfp_realnvp.bijectors.fused_chain import run
from tfp_realnvp.flows.couplings import CouplingMaker, MaskFunction
from tfp_realnvp.nets.parts import spawn_seeds


@dataclasses.dataclass(frozen=True)
class MultiScale:
    """The paper's multi-scale flow over images.

    At every scale but the last, on the way from data to latents (Section 3.6):

    ```none
    3 x [coupling(checkerboard_mask), BatchNorm]
    Squeeze, (H, W, C) -> (H/2, W/2, 4C)
    3 x [coupling(channel_mask), BatchNorm], with networks twice as wide
    FactorOut: half of the channels are latents, the others enter the next scale
    ```

    and at the last scale 4 x [coupling(checkerboard_mask), BatchNorm]. Masks alternate,
    so that each coupling transforms what the one before passed through. Networks
    double in width from scale to scale.

    Args:
      num_scales: Python `int`, number of scales, one more than squeezes. Height and
        width must be divisible by `2**(num_scales - 1)`.
      invertible_conv: Python `bool`, whether an `InvertibleConv`, an idea of Glow's,
        comes before each channel-wise coupling.
    """

    num_scales: int = 2
    invertible_conv: bool = False

    def __post_init__(self) -> None:
        check_int("num_scales", self.num_scales)
        check_flag("invertible_conv", self.invertible_conv)

    def check(self, event_shape: tuple[int, ...]) -> None:
        """Raises `ValueError` if there is no such flow over events of that shape."""
        if len(event_shape) != 3:
            raise ValueError(
                "architecture: expected one over vectors such as CouplingStack for "
                f"event_shape {event_shape}, got {self}."
            )
        height, width, _ = event_shape
        # One more than how often both can be halved, and two pixels are left.
        most = min((side & -side).bit_length() for side in (height, width))
        most -= height == width == 2 ** (most - 1)
        if self.num_scales > most:
            raise ValueError(
                f"num_scales: expected at most {most} for event_shape {event_shape}, "
                "for height and width must be divisible by 2**(num_scales - 1) and "
                f"leave two pixels or more; got {self.num_scales}."
            )

    def chain(
        self,
        event_shape: tuple[int, ...],
        couplings: CouplingMaker,
        seed: int | None,
        level: int = 0,
    ) -> FusedChain:
        """Returns the chain, with new weights."""
        is_last = self.num_scales == 1
        seeds = iter(spawn_seeds(seed, 4 if is_last else 7))
        checkerboard = couplings(
            event_shape,
            _alternating(checkerboard_mask, 4 if is_last else 3),
            level=level,
            initial_gain=0.0,
            seeds=seeds,
        )
        if is_last:
            return FusedChain(checkerboard, name="last_scale")
        height, width, channels = event_shape
        squeezed_shape = (height // 2, width // 2, 4 * channels)
        channelwise = couplings(
            squeezed_shape,
            _alternating(channel_mask, 3),
            level=level + 1,
            initial_gain=1.0,
            seeds=seeds,
        )
        if self.invertible_conv:
            channelwise = _mixed(channelwise, squeezed_shape, couplings.dtype)
        rest = dataclasses.replace(self, num_scales=self.num_scales - 1)
        next_scale = rest.chain(
            (height // 2, width // 2, 2 * channels), couplings, next(seeds), level + 1
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


@dataclasses.dataclass(frozen=True)
class CouplingStack:
    """A stack of couplings, over vectors.

    ```none
    num_couplings x [coupling, BatchNorm]
    ```

    with masks that alternate between the two halves, then between even and odd
    positions, and so on.

    Args:
      num_couplings: Python `int`, number of couplings, at least 2. From 4 on, every
        entry depends on every other whatever D is.
      invertible_conv: Python `bool`, whether an `InvertibleConv`, over vectors a
        learned matrix, comes before each coupling, as in neural spline flows. It is
        for vectors whose entries are strongly correlated, such as rows of tables.
    """

    num_couplings: int = 6
    invertible_conv: bool = False
    num_scales: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_int("num_couplings", self.num_couplings, least=2)
        check_flag("invertible_conv", self.invertible_conv)

    def check(self, event_shape: tuple[int, ...]) -> None:
        """Raises `ValueError` if there is no such flow over events of that shape."""
        if len(event_shape) != 1:
            raise ValueError(
                "architecture: expected one over images such as MultiScale for "
                f"event_shape {event_shape}, got {self}."
            )
        if event_shape == (1,):
            raise ValueError(
                "event_shape: expected at least two dimensions, for a coupling "
                "transforms one part of the event given the other; got (1,)."
            )

    def chain(
        self, event_shape: tuple[int, ...], couplings: CouplingMaker, seed: int | None
    ) -> FusedChain:
        """Returns the chain, with new weights."""
        # With the halves alone, entries of one half would never condition each other.
        # In this order consecutive couplings have different masks, even for D = 2.
        masks = (
            channel_mask,
            functools.partial(channel_mask, invert=True),
            functools.partial(alternating_mask, invert=True),
            alternating_mask,
        )
        members = couplings(
            event_shape,
            itertools.islice(itertools.cycle(masks), self.num_couplings),
            level=0,
            initial_gain=1.0,
            seeds=iter(spawn_seeds(seed, self.num_couplings)),
        )
        if self.invertible_conv:
            members = _mixed(members, event_shape, couplings.dtype)
        return FusedChain(members, name="couplings")


def _mixed(
    members: Sequence[tfb.Bijector], event_shape: tuple[int, ...], dtype: str
) -> list[tfb.Bijector]:
    """Returns the members, with an `InvertibleConv` before each coupling."""
    mixed: list[tfb.Bijector] = []
    for member in members:
        if isinstance(member, Coupling):
            mixed.append(InvertibleConv(event_shape, ChannelMixing(dtype=dtype)))
        mixed.append(member)
    return mixed


def _alternating(mask: Callable[..., MaskFunction], count: int) -> list[MaskFunction]:
    return [functools.partial(mask, invert=bool(i % 2)) for i in range(count)]


def split_by_scale(body: FusedChain, x: tf.Tensor) -> list[tf.Tensor]:
    """Returns the latents of each scale, see `RealNVPBijector.split_latent`."""
    latents = []
    for factor_out in _factor_outs(body):
        x, leaving = factor_out.split(Squeeze().forward(x))
        latents.append(leaving)
    return [*latents, x]


def merge_scales(
    body: FusedChain, latents: Sequence[tf.Tensor], event_shape: tuple[int, ...]
) -> tf.Tensor:
    """Inverts `split_by_scale`, in a flow made for `event_shape`."""
    factor_outs = _factor_outs(body)
    if len(latents) != len(factor_outs) + 1:
        raise ValueError(
            f"latents: expected {len(factor_outs) + 1} tensors, got {len(latents)}."
        )
    for scale, z in enumerate(latents, 1):
        channels = event_shape[-1] * 2 ** min(scale, len(factor_outs))
        if not z.shape[-1:].is_compatible_with([channels]):
            raise ValueError(
                f"latents: expected shape (..., {channels}) at scale {scale}, got "
                f"{z.shape}."
            )
    *leaving, x = latents
    for factor_out, z in zip(reversed(factor_outs), reversed(leaving), strict=True):
        x = Squeeze().inverse(factor_out.merge(x, z))
    return x


def log_prob_by_scale(flow: tfd.Distribution, pixels: tf.Tensor) -> tf.Tensor:
    """Returns each scale's part of `log_prob(pixels)`, of shape [N, num_scales].

    Scale `s` maps `h_{s-1}` to its latents `z_s` and the rest `h_s`, from the pixels
    `h_0` on. Its part is `log p(z_s) + log |det d(z_s, h_s)/dh_{s-1}|`: how well it
    predicts the factored-out part, given the rest. The flow is one of `image_flow`,
    with a base of independent entries.
    """
    to_pixels, real_nvp = flow.bijector.bijectors
    logits, to_logits = run(to_pixels, pixels, 3, inverse=True)
    latents, (first, *others) = _inverse_by_scale(real_nvp.body, logits)
    by_entry = flow.distribution.distribution.log_prob(latents)
    parts = [tf.reduce_sum(z, axis=[1, 2, 3]) for z in real_nvp.split_latent(by_entry)]
    log_dets = [to_logits + first, *others]
    return tf.stack([p + d for p, d in zip(parts, log_dets, strict=True)], axis=1)


def _inverse_by_scale(
    chain: FusedChain, x: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Returns the latents, and the log-determinant of each scale from this one on."""
    own: Any = 0.0
    others: list[tf.Tensor] = []
    for member in chain.bijectors:
        if isinstance(member, FactorOut):
            going_on, leaving = member.split(x)
            going_on, others = _inverse_by_scale(member.bijector, going_on)
            x = member.merge(going_on, leaving)
        else:
            x, log_det = run(member, x, 3, inverse=True)
            own += log_det
    return x, [own, *others]


def _factor_outs(chain: FusedChain) -> list[FactorOut]:
    for member in chain.bijectors:
        if isinstance(member, FactorOut):
            return [member, *_factor_outs(member.bijector)]
    return []
