"""The latents of each scale, out of those of the whole flow and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.bijectors import FactorOut, FusedChain, Squeeze
from tfp_realnvp.bijectors.fused_chain import run


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
    """Undoes `split_by_scale`, in a flow that was made for `event_shape`."""
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
    """Returns what each scale adds to `log_prob(pixels)`, of shape [N, num_scales].

    With `h_0` the pixels, and `(z_s, h_s)` what scale `s` makes of `h_{s-1}`, its part
    is `log p(z_s) + log |det d(z_s, h_s)/dh_{s-1}|`: how well what it lets go is
    predicted, given what goes on. The flow is one of `image_flow`, with a base of
    independent entries.
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
