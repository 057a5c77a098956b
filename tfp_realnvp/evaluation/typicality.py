"""How typical a score is among those of a run's validation images."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from tfp_realnvp.data.progress import ProgressBar
from tfp_realnvp.files import write_json
from tfp_realnvp.runs.run_directory import REFERENCE_SCORES, RunDirectory
from tfp_realnvp.training.flow_model import FlowModel

# The smallest p-value is then 0.002.
_MOST_IN_REFERENCE = 1000


def typicality(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Returns the two-sided p-value of each score among reference scores.

    ```none
    p(s) = min(1, 2 (1 + min(#{r <= s}, #{r >= s})) / (n + 1))
    ```

    For an image like the `n` of the reference, p is at most `a` with a probability of
    at most `a` (Nalisnick et al., Detecting Out-of-Distribution Inputs to Deep
    Generative Models Using Typicality, 2019). NaN gives NaN.
    """
    reference = np.sort(reference)
    below = np.searchsorted(reference, scores, "right")
    above = len(reference) - np.searchsorted(reference, scores, "left")
    p = np.minimum(1, 2 * (1 + np.minimum(below, above)) / (len(reference) + 1))
    return np.where(np.isnan(scores), np.nan, p)


def roc_auc(normal: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Returns the share of pairs whose other score is higher, and its standard error.

    Each array has at least two scores. Ties count half; the error is DeLong's.
    """

    def shares(values: np.ndarray, among: np.ndarray) -> np.ndarray:
        among = np.sort(among)
        sides = [np.searchsorted(among, values, side) for side in ("left", "right")]
        return np.mean(sides, axis=0) / len(among)

    wins, losses = shares(other, normal), shares(normal, other)
    variance = wins.var(ddof=1) / len(other) + losses.var(ddof=1) / len(normal)
    return float(wins.mean()), float(np.sqrt(variance))


def reference_scores(
    directory: RunDirectory,
    score: Callable[[np.ndarray], np.ndarray],
    *,
    model: FlowModel,
    settings: dict[str, Any],
    data_dir: str | os.PathLike | None,
    batch_size: int,
) -> np.ndarray:
    """Returns the bits/dim of up to 1,000 validation images of the run.

    Beside training images, which the flow was fitted to, all others would look strange.
    The scores are kept in the run's folder until weights, images or settings change.
    """
    config = directory.load_config()
    version = importlib.metadata.version("tfp_realnvp")
    depends_on = [version, config.flow, config.images, settings]
    made_from = hashlib.sha256(json.dumps(depends_on).encode())
    # The weights in the file may be from a later epoch by now.
    for weight in model.weights:
        made_from.update(weight.numpy().tobytes())
    path = directory.path / REFERENCE_SCORES
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept.get("made_from") == made_from.hexdigest():
            return np.array(kept["bits_per_dim"])
    split = config.load_data(data_dir).validation
    if split.conditions is not None and split.conditions.ndim > 1:
        raise ValueError(
            "run: expected an unconditional one, or one conditioned on classes, over "
            "which the density is averaged; got one conditioned on attributes."
        )
    count = min(split.count, _MOST_IN_REFERENCE)
    print(f"Scoring {count} validation images of the run, once.", flush=True)
    progress, found = ProgressBar(count), np.empty([0])
    batches = split.unconditional().batches(batch_size, limit=count)
    for images in batches.as_numpy_iterator():
        found = np.append(found, score(images))
        progress.update(len(found))
    if not np.isfinite(found).all():
        raise FloatingPointError("run: expected finite densities, got NaN or infinity.")
    try:
        if config.images is not None:
            kept = {"made_from": made_from.hexdigest(), "bits_per_dim": found.tolist()}
            write_json(path, kept)
    except OSError as error:
        print(f"The scores are not kept: {error}")
    return found
