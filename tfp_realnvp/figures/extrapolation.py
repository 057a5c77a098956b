"""Images larger than those a flow was trained on (Appendix C)."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_int
from tfp_realnvp.figures.latents import (
    check_draws,
    check_flow,
    decode_latents,
    draw_latents,
)
from tfp_realnvp.figures.memory import estimated_bytes
from tfp_realnvp.flows.call_arguments import condition_vectors
from tfp_realnvp.machine import available_bytes


def extrapolated_samples(
    flow: tfd.Distribution,
    count: int,
    *,
    factor: int,
    seed: int | None = None,
    temperature: float = 1.0,
    condition: np.ndarray | None = None,
) -> np.ndarray:
    """Returns images several times as large as those a flow was trained on.

    The networks are convolutional and work for any size, so that the flow continues
    its images as a texture.

    Args:
      flow: Transformed distribution from `image_flow`, with its default base.
      count: Python `int`, number of images; they are drawn one after the other.
      factor: Python `int`, how many times as high and as wide.
      seed: As for `sample_images`.
      temperature: As for `sample_images`.
      condition: As for `sample_images`.

    Returns:
      `uint8` array of shape [count, factor * height, factor * width, channels].

    Raises:
      ValueError: If the picture would not fit in memory, an argument is out of range,
        the condition does not fit, or the base distribution is not the default one.
    """
    check_flow(flow)
    check_int("count", count)
    _check(flow, factor)
    check_draws(seed, temperature)
    # Even the base distribution of images that do not fit is too large.
    check_fits(flow, factor, count=count)
    vectors = condition_vectors(flow, condition, count)
    larger = enlarged(flow, factor)
    latents = draw_latents(
        larger, count, seed=seed, temperature=temperature, condition=vectors
    )
    return decode_latents(larger, latents, condition=vectors, batch_size=1)


def enlarged(flow: tfd.Distribution, factor: int) -> tfd.TransformedDistribution:
    """Returns the flow, weights shared, over images several times as large.

    Args:
      flow: Transformed distribution from `image_flow`, with its default base.
      factor: Python `int`, how many times as high and as wide.

    Raises:
      ValueError: If `factor` is not positive, or the base distribution, which is not
        the default one, is not known for other sizes.
    """
    _check(flow, factor)
    height, width, channels = flow.event_shape
    zeros = tf.zeros([factor * height, factor * width, channels], flow.dtype)
    base = tfd.Independent(tfd.Normal(zeros, 1), 3)
    return flow.copy(distribution=base, name=f"{flow.name}_{factor}x")


def has_default_base(flow: tfd.Distribution) -> bool:
    """Whether latents are unit normal, and so known for images of any size."""
    base = flow.distribution
    normal = getattr(base, "distribution", None)
    return (
        isinstance(base, tfd.Independent)
        and isinstance(normal, tfd.Normal)
        # What is learned can be anything later.
        and not base.trainable_variables
        and bool(tf.reduce_all(normal.loc == 0))
        and bool(tf.reduce_all(normal.scale == 1))
    )


def check_fits(flow: tfd.Distribution, factor: int, *, count: int = 1) -> None:
    """Checks that enlarged images fit in memory; where it is unknown, they do.

    Raises:
      ValueError: If they would not.
    """
    height, width, _ = flow.event_shape
    needed = estimated_bytes(flow, factor * height, factor * width, count=count)
    available = available_bytes()
    if available is not None and needed > available:
        raise ValueError(
            f"factor: expected images that fit in memory, got {factor}, for which "
            f"{factor * height} x {factor * width} pixels need about "
            f"{needed / 2**30:.3g} GiB; {available / 2**30:.3g} GiB are available."
        )


def _check(flow: tfd.Distribution, factor: int) -> None:
    check_flow(flow)
    check_int("factor", factor)
    if not has_default_base(flow):
        raise ValueError(
            "flow: expected the default base distribution, a unit normal, for images "
            "of another size than the flow was made for; got "
            f"{type(flow.distribution).__name__} {flow.distribution.name!r}."
        )
