"""Whether the numbers of a trained flow can be trusted."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_int, check_seed
from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.flows import bits_per_dim
from tfp_realnvp.flows.call_arguments import condition_vectors, is_transformed
from tfp_realnvp.health.health_report import (
    PIXEL_TOLERANCE,
    RELATIVE_TOLERANCE,
    HealthReport,
)
from tfp_realnvp.health.measures import (
    Errors,
    RoundTripHealth,
    measure_round_trips,
    scores_by_statistics,
    watched_couplings,
)
from tfp_realnvp.training.flow_model import FlowModel
from tfp_realnvp.training.functions import dequantized
from tfp_realnvp.training.inputs import check_data
from tfp_realnvp.training.non_finite import weight_names


def flow_health(
    model: FlowModel | tfd.Distribution,
    data: Any,
    *,
    condition: Any = None,
    limit: int | None = 256,
    batch_size: int = 64,
    seed: int = 0,
) -> HealthReport:
    """Measures faults that the loss does not show, and judges whether to trust a flow.

    In exact arithmetic the first three of these are 0, and the last one if batch and
    running statistics agree:

    ```none
    round trip of data      forward(inverse(x)) - x
    round trip of samples   inverse(forward(z)) - z,  z ~ base, scale by scale
    log-det drift           forward_log_det(z) + inverse_log_det(x),  z = inverse(x)
    gap                     score by running statistics - score by batch statistics
    ```

    For each coupling it measures the largest log-scale on the data, the share of
    log-scales at their bound, and the dead channels of the network; it looks for NaN
    and infinity. `tfp_realnvp/health/health_report.py` has the thresholds. The flow
    runs eagerly and is left as it was.

    Args:
      model: `tfd.TransformedDistribution`, or a `FlowModel` of one.
      data: Array or `Tensor` of events, of shape [N, *event_shape], a
        `tf.data.Dataset` of batches or of pairs of a batch and its conditions, or a
        split of `tfp_realnvp.data` such as `data.test`. Pixels are in [0, 256);
        integer images get dequantization noise.
      condition: Labels or vectors, one for each event, if the flow takes a condition
        and `data` has none.
      limit: Python `int`, only the first `limit` examples; `None` is all of them.
      batch_size: Python `int`. The gap depends on it: use that of training.
      seed: Python `int`, of the noise and of the samples.

    Returns:
      `HealthReport`; `print` shows it.

    Raises:
      TypeError: If `model` is not one of these.
      ValueError: If data or conditions do not fit the flow, or a number is out of
        range.

    #### Example

    ```python
    >>> import numpy as np
    >>> import tfp_realnvp as nvp
    >>> flow = nvp.image_flow(
    ...     event_shape=(8, 8, 1), filters=4, num_blocks=1, batch_norm=None
    ... )
    >>> images = np.random.default_rng(0).integers(0, 256, [16, 8, 8, 1], np.uint8)
    >>> nvp.flow_health(flow, images).verdict
    'healthy'

    ```
    """
    flow = model.flow if isinstance(model, FlowModel) else model
    if not isinstance(flow, tfd.Distribution) or not is_transformed(flow):
        raise TypeError(
            "model: expected a tfd.TransformedDistribution, or a FlowModel of one; got "
            f"{type(flow).__name__}."
        )
    model = model if isinstance(model, FlowModel) else FlowModel(model)
    if limit is not None:
        check_int("limit", limit)
    check_int("batch_size", batch_size)
    check_seed("seed", seed, optional=False)
    x, condition = _examples(model, data, condition, limit)
    values, tolerance = tf.cast(x, flow.dtype), PIXEL_TOLERANCE
    if model.is_over_pixels and x.dtype.kind != "f":
        values = dequantized(values, tf.constant([0, seed]))
    x = values.numpy()
    if not model.is_over_pixels:
        tolerance = RELATIVE_TOLERANCE * x.std()
    vectors = condition_vectors(flow, condition, len(x))
    batch_size = min(batch_size, len(x))

    with watched_couplings(flow) as watches:
        trips = measure_round_trips(flow, x, vectors, seed=seed, batch_size=batch_size)
    by_running, by_batch = _mean_scores(model, x, vectors, batch_size)
    errors = np.nan_to_num(np.abs(trips.on_data), nan=np.inf)
    worst = np.unravel_index(np.argmax(errors), errors.shape)
    drift, names = Errors.of(trips.log_det_drift), weight_names(flow)
    return HealthReport(
        count=len(x),
        batch_size=batch_size,
        event_shape=tuple(flow.event_shape),
        dtype=flow.dtype.name,
        units="bits/dim" if model.is_over_pixels else "nats",
        data=RoundTripHealth.of(trips.on_data, tolerance),
        samples=tuple(
            RoundTripHealth.of(errors, RELATIVE_TOLERANCE * drawn.std())
            for errors, drawn in zip(trips.on_samples, trips.drawn, strict=True)
        ),
        worst=tuple(int(i) for i in worst),
        log_det_drift=drift,
        log_det_drift_bits_per_dim=float(bits_per_dim(-drift.max, flow.event_shape)),
        score_by_running=by_running,
        score_by_batch=by_batch,
        gap=by_running - by_batch,
        couplings=tuple(watch.health() for watch in watches),
        non_finite_weights=tuple(
            names.get(id(weight), weight.path)
            for weight in model.weights
            if not np.isfinite(tf.cast(weight.value, tf.float64)).all()
        ),
        non_finite_log_probs=int((~np.isfinite(trips.log_prob)).sum()),
    )


def _examples(
    model: FlowModel, data: Any, condition: Any, limit: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
    if isinstance(data, ImageSplit):
        if model.condition_size is None:
            data = data.unconditional()
        count = data.count if limit is None else min(limit, data.count)
        condition = data.take_conditions(count) if condition is None else condition
        data = data.take(count)
    check = functools.partial(
        check_data,
        event_shape=model.flow.event_shape,
        pixels=model.is_over_pixels,
        condition_size=model.condition_size,
        steps=("limit", limit),
    )
    try:
        check(data, condition)
        if isinstance(data, tf.data.Dataset):
            elements = list(data.unbatch().take(-1 if limit is None else limit))
            columns = zip(*(tf.nest.flatten(e) for e in elements), strict=True)
            data, *others = (np.stack([v.numpy() for v in c]) for c in columns)
            condition = others[0] if others else None
            # Only now are the contents of the data set known.
            check(data, condition)
    except ValueError as error:
        raise ValueError(re.sub("^x:", "data:", str(error))) from None
    condition = None if condition is None else np.asarray(condition)[:limit]
    return np.asarray(data[:limit]), condition


def _mean_scores(
    model: FlowModel, x: np.ndarray, condition: np.ndarray | None, batch_size: int
) -> list[float]:
    """Returns mean scores by running and by batch statistics, over full batches."""
    # Eager: tracing a deep flow would take longer than a few batches.
    both, found = scores_by_statistics(model, compiled=False), []
    # The statistics of a small last batch, of one example perhaps, say nothing.
    for start in range(0, len(x) - batch_size + 1, batch_size):
        part = slice(start, start + batch_size)
        given = None if condition is None else condition[part]
        found.append(both(tf.constant(x[part]), given))
    return [float(np.concatenate(s).mean()) for s in zip(*found, strict=True)]
