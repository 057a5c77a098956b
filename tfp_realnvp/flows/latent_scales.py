"""The latents of each scale, out of those of the whole flow and back."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfp_realnvp.bijectors import FactorOut, FusedChain, Squeeze


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
