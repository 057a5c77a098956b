"""What a flow, or several of one kind, cost on images, with standard errors."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tfp_realnvp.arguments import check_whole, checked_array, checked_shape, shortened


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What images cost under a flow, or under several that differ in their seed.

    Standard errors are standard deviations of the means of single images or flows,
    divided by the square root of how many there are; `None` where there is one only.

    Attributes:
      flows: Python `int`, how many flows.
      images: Python `int`, how many images each has scored.
      draws: Python `int`, how often noise was added to each image.
      bits_per_dim: Mean over flows, images and draws; what the paper reports.
      standard_error_over_images: Of `bits_per_dim`, for the choice of images.
      standard_error_over_seeds: Of `bits_per_dim`, for the choice of training seeds.
      spread_over_draws: Standard deviation of what single draws of the noise give
        for the whole split; `None` for a single draw.
      importance_samples: Number `K` of draws in the bound, or `None` for no bound.
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
    """Returns means and standard errors of what `score_images` has found.

    The probability of an image of integers `x` under a density `p` over pixels is the
    integral of `p` over its cell, `P(x) = E[p(x + u)]` with `u` uniform in [0, 1)^D.
    By Jensen's inequality, for draws `u_1, ..., u_K` of the noise,

    ```none
    E[log p(x + u)]  <=  E[log(1/K sum_k p(x + u_k))]  <=  log P(x)
    ```

    The left side is what the paper reports, as bits/dim; the middle, with
    `K = importance_samples`, is a tighter bound on the log-likelihood of the discrete
    images, and grows with `K` (Burda et al., 2016). It is another quantity than that
    in the paper's table, and never worse.

    Args:
      scores: For each flow, bits/dim of shape [images, draws], of the same images
        under the same noise.
      event_shape: Sequence of Python `int`s, shape of one image.
      importance_samples: Python `int`, a divisor of the number of draws, which are
        taken in groups of so many; `None` for no bound.

    Raises:
      ValueError: If shapes differ, or `importance_samples` is no such divisor.

    #### Example

    ```python
    >>> import numpy as np
    >>> from tfp_realnvp.evaluation.evaluation import summarize
    >>> found = summarize([np.array([[3.0, 3.2], [3.4, 3.6]])], event_shape=(8, 8, 1))
    >>> round(found.bits_per_dim, 3), round(found.standard_error_over_images, 3)
    (3.3, 0.2)

    ```

    #### References

    Y. Burda, R. Grosse, R. Salakhutdinov. Importance Weighted Autoencoders. ICLR 2016.
    """
    shape = checked_shape(
        "event_shape", event_shape, expected="a sequence of positive ints"
    )
    if not isinstance(scores, (Sequence, np.ndarray)) or isinstance(scores, str):
        raise ValueError(f"scores: expected arrays, got {shortened(scores)}.")
    scores = [checked_array("scores", score) for score in scores]
    if any(s.ndim != 2 or s.size == 0 or not np.isfinite(s).all() for s in scores):
        raise ValueError(
            "scores: expected arrays of finite numbers, of shape [images, draws]."
        )
    if len({np.shape(s) for s in scores}) != 1:
        raise ValueError(
            "scores: expected arrays of one shape [images, draws], got shapes "
            f"{[np.shape(s) for s in scores]}."
        )
    values = np.stack(scores).astype(np.float64)
    flows, images, draws = values.shape
    by_image = values.mean(axis=2)
    by_draw = values.mean(axis=(0, 1))
    result = Evaluation(
        flows=flows,
        images=images,
        draws=draws,
        bits_per_dim=float(values.mean()),
        standard_error_over_images=_standard_error(by_image.mean(axis=0)),
        standard_error_over_seeds=_standard_error(by_image.mean(axis=1)),
        spread_over_draws=float(by_draw.std(ddof=1)) if draws > 1 else None,
    )
    if importance_samples is None:
        return result
    check_importance_samples(importance_samples, draws)
    bound = _importance_weighted(values, shape, importance_samples)
    return dataclasses.replace(
        result,
        importance_samples=importance_samples,
        bound_bits_per_dim=float(bound.mean()),
        bound_standard_error_over_images=_standard_error(bound.mean(axis=0)),
        bound_standard_error_over_seeds=_standard_error(bound.mean(axis=1)),
    )


def check_importance_samples(importance_samples: int, draws: int) -> None:
    """Raises `ValueError` unless the draws fall into groups of so many."""
    check_whole("importance_samples", importance_samples)
    if importance_samples < 1 or draws % importance_samples:
        raise ValueError(
            f"importance_samples: expected a divisor of the {draws} draws, which are "
            f"taken in groups of so many; got {importance_samples}."
        )


def _importance_weighted(
    scores: np.ndarray, event_shape: Sequence[int], importance_samples: int
) -> np.ndarray:
    """Returns the bound in bits/dim for each flow and image."""
    nats_per_bit_per_dim = int(np.prod(event_shape)) * math.log(2)
    log_prob = -scores * nats_per_bit_per_dim
    log_prob = log_prob.reshape([*scores.shape[:2], -1, importance_samples])
    largest = log_prob.max(axis=3, keepdims=True)
    mean = np.log(np.exp(log_prob - largest).mean(axis=3)) + largest[..., 0]
    return -mean.mean(axis=2) / nats_per_bit_per_dim


def _standard_error(values: np.ndarray) -> float | None:
    if len(values) < 2:
        return None
    return float(values.std(ddof=1) / math.sqrt(len(values)))
