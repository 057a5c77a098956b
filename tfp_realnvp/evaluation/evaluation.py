"""Bits/dim of images under one flow or several, with standard errors."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int, check_seed
from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.data.progress import ProgressBar
from tfp_realnvp.flows import bits_per_dim
from tfp_realnvp.training.flow_model import FlowModel

# Arbitrary: a model trained with the same seed has not seen this noise.
_FOR_EVALUATION = 0x0DA7A2


def score_split(
    model: FlowModel,
    split: ImageSplit,
    *,
    draws: int = 3,
    seed: int = 0,
    limit: int | None = None,
    batch_size: int = 100,
) -> np.ndarray:
    """Returns the bits/dim of each image of a split under several draws of noise.

    Batch normalization uses running statistics. The dequantization noise of an image
    depends on `seed`, draw and index alone, and so is the same for every model.

    Args:
      model: Model of a flow over pixels.
      split: The images, with conditions if the flow takes them.
      draws: Python `int`, draws of the noise for each image.
      seed: Python `int`, of the noise.
      limit: Python `int`, only the first `limit` images; `None` is all of them.
      batch_size: Python `int`, for memory and speed alone.

    Returns:
      `float64` array of shape [images, draws].

    Raises:
      FloatingPointError: If the density of an image is zero, infinite or NaN.
      ValueError: If the flow is not over pixels, or an argument is out of range.
    """
    if not model.is_over_pixels:
        raise ValueError(
            f"model: expected a flow over pixels, got {model.flow.name!r} without a "
            "PixelLogit, which has no bits/dim."
        )
    check_int("draws", draws)
    check_int("batch_size", batch_size)
    check_seed("seed", seed, optional=False)
    count = split.count if limit is None else limit
    check_int("limit", count, most=split.count, unit=", the images there are")
    batches = split.batches(batch_size, limit=count)
    number = tf.TensorSpec([], tf.int64)

    @tf.function(
        autograph=False, input_signature=[batches.element_spec, number, number]
    )
    def log_prob(batch: Any, first: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
        images, condition = batch if isinstance(batch, tuple) else (batch, None)
        numbers = first + tf.range(tf.shape(images, tf.int64)[0])
        pixels = dequantized(model, images, numbers, draw, seed)
        return model.log_prob_parts(pixels, condition)[0]

    result = np.empty([count, draws], np.float64)
    progress, done = ProgressBar(count), 0
    for batch in batches:
        for draw in range(draws):
            found = log_prob(batch, done, draw).numpy()
            if not np.isfinite(found).all():
                image = int(np.argmin(np.isfinite(found)))
                raise FloatingPointError(
                    f"log_prob: expected finite numbers, got {found[image]} for "
                    f"image {done + image} (draw {draw} of its noise)."
                )
            result[done : done + len(found), draw] = found
        done += len(found)
        progress.update(done)
    return bits_per_dim(result, model.flow.event_shape)


def dequantized(
    model: FlowModel, images: tf.Tensor, numbers: tf.Tensor, draw: tf.Tensor, seed: int
) -> tf.Tensor:
    """Returns `uint8` images plus noise that depends on number, draw and seed alone."""
    shape, dtype = model.flow.event_shape, model.flow.dtype
    key = tf.constant([_FOR_EVALUATION, seed], tf.int64)
    key = tf.random.experimental.stateless_fold_in(key, draw)

    def noise(number: tf.Tensor) -> tf.Tensor:
        own = tf.random.experimental.stateless_fold_in(key, number)
        return tf.random.stateless_uniform(shape, own, dtype=dtype)

    return tf.cast(images, dtype) + tf.map_fn(noise, numbers, fn_output_signature=dtype)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Mean bits/dim of images under a flow, or several that differ in their seed.

    A standard error is the standard deviation of the means of single images or flows,
    divided by the square root of their number; `None` if there is only one.

    Attributes:
      flows: Python `int`, number of flows.
      images: Python `int`, number of images that each flow has scored.
      draws: Python `int`, draws of the noise for each image.
      bits_per_dim: Mean over flows, images and draws; what the paper reports.
      standard_error_over_images: Of `bits_per_dim`, for the choice of images.
      standard_error_over_seeds: Of `bits_per_dim`, for the choice of training seeds.
      spread_over_draws: Standard deviation of the mean over all images, from draw to
        draw of the noise; `None` for a single draw.
      importance_samples: Number of draws in the bound; `None` for no bound.
      bound_bits_per_dim: The importance-weighted bound, see `summarize`.
      bound_standard_error_over_images: Of the bound.
      bound_standard_error_over_seeds: Of the bound.
    """

    flows: int
    images: int
    draws: int
    bits_per_dim: float
    standard_error_over_images: float | None
    standard_error_over_seeds: float | None
    spread_over_draws: float | None
    importance_samples: int | None = None
    bound_bits_per_dim: float | None = None
    bound_standard_error_over_images: float | None = None
    bound_standard_error_over_seeds: float | None = None


def summarize(
    scores: Sequence[np.ndarray],
    event_shape: Sequence[int],
    *,
    importance_samples: int | None = None,
) -> Evaluation:
    """Returns means and standard errors of the scores from `score_split`.

    The probability of an image of integers `x` under a density `p` over pixels is the
    integral of `p` over its cell, `P(x) = E[p(x + u)]` with `u` uniform in [0, 1)^D.
    By Jensen's inequality, for draws `u_1, ..., u_K` of the noise,

    ```none
    E[log p(x + u)]  <=  E[log(1/K sum_k p(x + u_k))]  <=  log P(x)
    ```

    The left side is what the paper reports, as bits/dim. The middle, with
    `K = importance_samples`, is a tighter bound on the log-likelihood of the discrete
    images, and grows with `K` (Burda et al., 2016).

    Args:
      scores: For each flow, bits/dim of shape [images, draws], of the same images
        under the same noise.
      event_shape: Sequence of Python `int`s, shape of one image.
      importance_samples: Python `int`, size of the groups of draws for the bound, a
        divisor of the number of draws; `None` for no bound.

    Raises:
      ValueError: If shapes differ, or `importance_samples` does not divide the draws.

    #### Example

    ```python
    >>> import numpy as np
    >>> from tfp_realnvp.evaluation import summarize
    >>> found = summarize([np.array([[3.0, 3.2], [3.4, 3.6]])], event_shape=(8, 8, 1))
    >>> round(found.bits_per_dim, 3), round(found.standard_error_over_images, 3)
    (3.3, 0.2)

    ```

    #### References

    Y. Burda, R. Grosse, R. Salakhutdinov. Importance Weighted Autoencoders. ICLR 2016.
    """
    values = np.stack(scores).astype(np.float64)
    flows, images, draws = values.shape
    by_draw = values.mean(axis=(0, 1))
    mean, errors = float(values.mean()), _standard_errors(values.mean(axis=2))
    spread = float(by_draw.std(ddof=1)) if draws > 1 else None
    of_bound: tuple[Any, ...] = ()
    if importance_samples is not None:
        check_importance_samples(importance_samples, draws)
        nats_per_bit_per_dim = math.prod(event_shape) * math.log(2)
        log_prob = -values * nats_per_bit_per_dim
        groups = log_prob.reshape([flows, images, -1, importance_samples])
        mean_prob = np.logaddexp.reduce(groups, axis=3) - math.log(importance_samples)
        bound = -mean_prob.mean(axis=2) / nats_per_bit_per_dim
        of_bound = importance_samples, float(bound.mean()), *_standard_errors(bound)
    return Evaluation(flows, images, draws, mean, *errors, spread, *of_bound)


def check_importance_samples(importance_samples: int, draws: int) -> None:
    """Raises `ValueError` unless the draws can be divided into groups of this size."""
    if importance_samples < 1 or draws % importance_samples:
        raise ValueError(
            f"importance_samples: expected a divisor of the {draws} draws, to divide "
            f"them into groups of this size; got {importance_samples}."
        )


def _standard_errors(values: np.ndarray) -> tuple[float | None, float | None]:
    """Returns the standard errors, over images and flows, of a [flows, images] mean."""

    def error(means: np.ndarray) -> float | None:
        if len(means) < 2:
            return None
        return float(means.std(ddof=1) / math.sqrt(len(means)))

    return error(values.mean(axis=0)), error(values.mean(axis=1))
