"""The latents of each scale, out of those of the whole flow and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.bijectors import FactorOut, FusedChain, Squeeze
from tfp_realnvp.bijectors.fused_chain import run


def split_by_scale(body: FusedChain, x: tf.Tensor) -> list[tf.Tensor]:
    """Returns the latents of each scale, finest first (Eq. 13).

    Args:
      body: The couplings of the flow and all between them.
      x: `Tensor` of latents.
    """
    latents = []
    for factor_out in _factor_outs(body):
        x, leaving = factor_out.split(Squeeze().forward(x))
        latents.append(leaving)
    return [*latents, x]


def merge_scales(
    body: FusedChain, latents: Sequence[tf.Tensor], event_shape: tuple[int, ...]
) -> tf.Tensor:
    """Undoes `split_by_scale`.

    Args:
      body: The couplings of the flow and all between them.
      latents: Sequence of `Tensor`s, one for each scale.
      event_shape: The shape that the flow was made for.

    Raises:
      ValueError: If one of them cannot be the latents of its scale.
    """
    factor_outs = _factor_outs(body)
    *leaving, x = latents
    for scale, z in enumerate(leaving, 1):
        _check_latent(z, event_shape, scale, scale)
    _check_latent(x, event_shape, len(latents), len(factor_outs))
    for factor_out, z in zip(reversed(factor_outs), reversed(leaving), strict=True):
        x = Squeeze().inverse(factor_out.merge(x, z))
    return x


def log_prob_by_scale(flow: tfd.Distribution, pixels: tf.Tensor) -> tf.Tensor:
    """Returns the parts of the log-density that each scale adds, finest first.

    With `h_0` the pixels, and `(z_s, h_s)` what scale `s` makes of `h_{s-1}`,

    ```none
    log p(h_{s-1}) = log p(z_s) + log |det d(z_s, h_s)/dh_{s-1}| + log p(h_s)
    ```

    of which the first two terms are the part of scale `s`: how well what it lets go is
    predicted, given what goes on. Parts may be positive, for they are densities.

    Args:
      flow: What `image_flow` returns, with a base of independent entries.
      pixels: `Tensor` of shape [N, height, width, channels].

    Returns:
      `Tensor` of shape [N, num_scales], in nats. Its sums are `flow.log_prob(pixels)`.
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


def _factor_outs(body: FusedChain) -> list[FactorOut]:
    found: list[FactorOut] = []
    chain: FusedChain | None = body
    while chain is not None:
        inner = [b for b in chain.bijectors if isinstance(b, FactorOut)]
        found += inner
        chain = inner[0].bijector if inner else None
    return found


def _check_latent(
    z: tf.Tensor, event_shape: tuple[int, ...], scale: int, halvings: int
) -> None:
    """Raises `ValueError` if these cannot be the latents of a scale, from 1 on."""
    if len(event_shape) == 1:
        fits = z.shape.rank is None or z.shape[-1:] == event_shape
        expected = f"(..., {event_shape[0]})"
    else:
        channels = event_shape[-1] * 2**halvings
        fits = z.shape.rank is None or (z.shape.rank >= 3 and z.shape[-1] == channels)
        expected = f"(..., height, width, {channels})"
    if not fits:
        raise ValueError(
            f"latents: expected shape {expected} at scale {scale}, got {z.shape}."
        )
