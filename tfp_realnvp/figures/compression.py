"""Images from their coarsest latents alone (Appendix D)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_number, shortened
from tfp_realnvp.bijectors import FusedChain
from tfp_realnvp.figures.latents import (
    as_pixels,
    check_flow,
    decode_latents,
    draw_latents,
    encode_images,
)
from tfp_realnvp.flows import RealNVPBijector
from tfp_realnvp.flows.call_arguments import condition_vectors

# The least that the paper keeps.
_LEAST = 1 / 16


def conceptual_compression(
    flow: tfd.Distribution,
    images: np.ndarray,
    *,
    kept: Sequence[float] | None = None,
    condition: np.ndarray | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Returns images of which only the coarsest latents are kept.

    The others are drawn anew from the base distribution, the same for every fraction.
    Each scale that is drawn, from the finest on, halves what is kept.

    Args:
      flow: Transformed distribution from `image_flow`.
      images: Array of shape [N, height, width, channels], as for `encode_images`.
      kept: Sequence of fractions of the latents, of those that `kept_fractions` tells;
        `None` is these down to 1/16.
      condition: Labels or vectors, one for each image, if the flow takes a condition.
      seed: Python `int`, of the noise and of the latents that are drawn.

    Returns:
      `uint8` array of shape [len(kept), N, height, width, channels].

    Raises:
      ValueError: If the scales do not allow a fraction, or images or condition do not
        fit the flow.
    """
    check_flow(flow)
    images = as_pixels(flow, images, seed=seed)
    allowed = kept_fractions(flow)
    if kept is None:
        kept = [fraction for fraction in allowed if fraction >= _LEAST]
    listed = ", ".join(f"{fraction:g}" for fraction in allowed)
    expected = f"fractions among {listed}, which the {len(allowed)} scales allow"
    if not isinstance(kept, (Sequence, np.ndarray)) or isinstance(kept, str):
        raise ValueError(f"kept: expected {expected}; got {shortened(kept)}.")
    for fraction in kept:
        check_number("kept", fraction, expected=expected)
        if fraction not in allowed:
            raise ValueError(f"kept: expected {expected}; got {fraction:g}.")
    if len(kept) == 0:
        raise ValueError("kept: expected at least one fraction, got none.")
    vectors = condition_vectors(flow, condition, len(images))
    latents = encode_images(flow, images, condition=vectors, seed=seed)
    fresh = draw_latents(flow, len(images), seed=seed, condition=vectors)
    return np.stack(
        [
            decode_latents(
                flow,
                resample_finest(flow, latents, fresh, scales=allowed.index(fraction)),
                condition=vectors,
            )
            for fraction in kept
        ]
    )


def kept_fractions(flow: tfd.Distribution) -> list[float]:
    """Returns the fractions of latents that are kept if the finest scales are not.

    Raises:
      ValueError: If the flow is not one with a `RealNVPBijector` at its base.
    """
    return [0.5**i for i in range(_real_nvp(flow).num_scales)]


def resample_finest(
    flow: tfd.Distribution, latents: np.ndarray, fresh: np.ndarray, *, scales: int
) -> np.ndarray:
    """Returns latents of which the finest scales are replaced.

    Args:
      flow: Transformed distribution from `image_flow`.
      latents: Array of shape [N, height, width, channels].
      fresh: Array of the same shape, where the replacements are taken from.
      scales: Python `int`, number of scales to replace.
    """
    bijector = _real_nvp(flow)
    old, new = (bijector.split_latent(tf.constant(z)) for z in (latents, fresh))
    return bijector.merge_latent([*new[:scales], *old[scales:]]).numpy()


def _real_nvp(flow: tfd.Distribution) -> RealNVPBijector:
    """Returns the bijector whose latents are the flow's own."""
    bijector = getattr(flow, "bijector", None)
    while isinstance(bijector, FusedChain | tfb.Chain):
        bijector = bijector.bijectors[-1]
    if not isinstance(bijector, RealNVPBijector):
        raise ValueError(
            "flow: expected a RealNVPBijector next to the base distribution, got "
            f"{type(bijector).__name__}."
        )
    return bijector
