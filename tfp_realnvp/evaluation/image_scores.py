"""Scores of new images under the flow of a run."""

from __future__ import annotations

import itertools
import math
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int, check_seed
from tfp_realnvp.data.image_file import Decoded, hash_of
from tfp_realnvp.data.image_files import find_images, read_images, shown
from tfp_realnvp.data.progress import ProgressBar
from tfp_realnvp.evaluation.evaluation import dequantized
from tfp_realnvp.evaluation.typicality import reference_scores, roc_auc, typicality
from tfp_realnvp.files import check_output, written_rows
from tfp_realnvp.flows import bits_per_dim
from tfp_realnvp.flows.architectures import log_prob_by_scale
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.training.flow_model import FlowModel

# Number of the strangest images to show, and of the most ordinary.
SHOWN = 24
# From images to log-densities in nats, [N, draws, scales], which add up over scales.
_Score = Callable[[np.ndarray], np.ndarray]


class ImageScores(NamedTuple):
    """The result of `score_images`.

    Attributes:
      columns: Arrays with one entry for each image, by name: `file`; `log_prob`, in
        nats, the mean over draws of the noise; `bits_per_dim`, the same in bits/dim;
        `standard_error` of `bits_per_dim`, over draws; `typicality`, a p-value; for a
        flow of several scales `bits_per_dim_scale_1` and so on, finest first, which add
        up to `bits_per_dim`; `group`, `"normal"` or `"other"`, if `normal` was given;
        and `error`, the reason why a file has no scores (they are NaN), or `""`.
      reference: Bits/dim of validation images of the run, array of shape [n].
      pictures: The first and the last images of `order()`, by index, as the flow saw
        them, `uint8`.
    """

    columns: dict[str, np.ndarray]
    reference: np.ndarray
    pictures: dict[int, np.ndarray]

    def order(self) -> np.ndarray:
        """Returns the indices of the images that have scores, strangest first.

        Images that were given as normal are left out.
        """
        columns = self.columns
        distance = np.abs(columns["bits_per_dim"] - np.median(self.reference))
        order = np.lexsort([-distance, columns["typicality"]])
        keep = columns["error"] == ""
        if "group" in columns:
            keep &= columns["group"] == "other"
        return order[keep[order]]

    def roc_auc(self) -> dict[str, tuple[float, float]]:
        """Returns how well scores separate other images from normal ones.

        Returns:
          `dict` of pairs, the ROC-AUC and its standard error. `"likelihood"` ranks
          images by their bits/dim, `"typicality"` by their p-value, the smallest as the
          strangest. Empty if there are fewer than two images in a group.
        """
        columns = self.columns
        if "group" not in columns:
            return {}
        group = np.where(columns["error"] == "", columns["group"], "")
        masks = group == "normal", group == "other"
        if min(map(np.count_nonzero, masks)) < 2:
            return {}
        scores = {
            "likelihood": columns["bits_per_dim"],
            "typicality": -columns["typicality"],
        }
        return {k: roc_auc(*(v[mask] for mask in masks)) for k, v in scores.items()}


def score_images(
    run: str | os.PathLike,
    paths: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    normal: str | os.PathLike | Sequence[str | os.PathLike] = (),
    draws: int = 3,
    seed: int = 0,
    batch_size: int = 100,
    weights: Literal["last", "best", "average"] = "last",
    data_dir: str | os.PathLike | None = None,
    skip_damaged: bool = False,
    output: str | os.PathLike | None = None,
) -> ImageScores:
    """Scores image files under the flow of a run.

    They are scaled as the run's own images were. The noise, and so the scores, of an
    image do not depend on what is scored beside it. If the flow is conditioned on
    classes, the density is the mean over all classes.

    Args:
      run: Folder of the run.
      paths: Folders, archives, image files, lists of them (`.txt`), or glob patterns.
      normal: The same for images known to be of the run's kind, to compare those in
        `paths` with, see `ImageScores.roc_auc`.
      draws: Python `int`, draws of the noise for each image.
      seed: Python `int`, of the noise.
      batch_size: Python `int`, for memory and speed alone.
      weights: Which weights, see `RunDirectory.weights`.
      data_dir: Where the run's own images are now; `None` is where they were. They are
        needed once, for `ImageScores.reference`.
      skip_damaged: Python `bool`, whether to leave out files that cannot be read.
      output: CSV file to write the columns to. Until all images are scored, the rows so
        far are in a file whose name ends in `.partial`.

    Raises:
      FileNotFoundError: If the run or the images are missing.
      ValueError: If a file cannot be read, or an argument is out of range.
    """
    check_int("draws", draws)
    check_int("batch_size", batch_size)
    check_seed("seed", seed, optional=False)
    if output is not None:
        check_output(pathlib.Path(output))
    directory = RunDirectory(run)
    config = directory.load_config()
    groups = {"other": find_images(_listed(paths))}
    if _listed(normal):
        groups["normal"] = find_images(_listed(normal))
    model = directory.load_model(weights)
    shape = model.flow.event_shape
    score = _scorer(model, draws, seed)
    reference = reference_scores(
        directory,
        lambda images: bits_per_dim(score(images).sum(2).mean(1), shape),
        model=model,
        settings={"draws": draws, "seed": seed},
        data_dir=data_dir,
        batch_size=batch_size,
    )
    crop = "none" if config.crop == "none" else "center"
    options = {"image_size": shape[0], "channels": shape[2], "crop": crop}
    count = sum(len(f.stamps) for found in groups.values() for f in found.values())
    progress, done = ProgressBar(count), 0
    columns: dict[str, np.ndarray] = {}
    pictures: dict[int, np.ndarray] = {}
    with written_rows(output) as write:
        for group, found in groups.items():
            images = read_images(found, **options)
            while batch := list(itertools.islice(images, batch_size)):
                if not skip_damaged:
                    _check_damaged(batch)
                told = group if len(groups) > 1 else None
                scored = _columns(batch, score, reference, shape, group=told)
                for name, values in scored.items():
                    if name not in columns:
                        columns[name] = np.empty([count], values.dtype)
                    columns[name][done : done + len(batch)] = values
                write(scored)
                # Keep the pictures of the strangest and the most ordinary so far.
                new = {done + i: decoded.pixels for i, (_, decoded) in enumerate(batch)}
                candidates = {**pictures, **new}
                numbers = np.array(list(candidates))
                some = {name: column[numbers] for name, column in columns.items()}
                order = numbers[ImageScores(some, reference, {}).order()].tolist()
                pictures = {i: candidates[i] for i in order[:SHOWN] + order[-SHOWN:]}
                done += len(batch)
                progress.update(done)
    return ImageScores(columns, reference, pictures)


def _listed(
    paths: str | os.PathLike | Sequence[str | os.PathLike],
) -> list[str | os.PathLike]:
    return [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)


def _scorer(model: FlowModel, draws: int, seed: int) -> _Score:
    classes = model.condition_size
    signature = [
        tf.TensorSpec([None, *model.flow.event_shape], tf.uint8),
        tf.TensorSpec([None], tf.int64),
        tf.TensorSpec([], tf.int64),
    ]

    @tf.function(autograph=False, input_signature=signature)
    def parts(images: tf.Tensor, numbers: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
        pixels = dequantized(model, images, numbers, draw, seed)
        if classes is None:
            return log_prob_by_scale(model.flow, pixels)

        def of_class(label: tf.Tensor) -> tf.Tensor:
            labels = tf.fill(tf.shape(numbers), label)
            return model.log_prob_parts(pixels, labels)[0]

        # One class after the other, to save memory.
        by_class = tf.map_fn(
            of_class,
            tf.range(classes),
            fn_output_signature=pixels.dtype,
            parallel_iterations=1,
        )
        mean = tf.reduce_logsumexp(by_class, axis=0) - math.log(classes)
        return mean[:, tf.newaxis]

    def score(images: np.ndarray) -> np.ndarray:
        numbers = np.array([hash_of(x.tobytes()) >> 1 for x in images], np.int64)
        found = [parts(images, numbers, draw) for draw in range(draws)]
        return np.stack(found, axis=1).astype(np.float64)

    return score


def _columns(
    batch: Sequence[tuple[str, Decoded]],
    score: _Score,
    reference: np.ndarray,
    event_shape: Sequence[int],
    *,
    group: str | None,
) -> dict[str, np.ndarray]:
    """Returns the columns of a batch; an image without scores has NaN in all."""
    errors = np.array([decoded.damage or "" for _, decoded in batch], object)
    # Damaged files are scored as black images, for the number of scales.
    black = np.zeros(event_shape, np.uint8)
    pixels = [black if decoded.damage else decoded.pixels for _, decoded in batch]
    nats = score(np.stack(pixels))
    is_good = np.isfinite(nats.sum(axis=2)).all(axis=1)
    errors[(errors == "") & ~is_good] = "the density is not a finite number"
    nats[errors != ""] = np.nan
    draws, scales = nats.shape[1:]
    bits = bits_per_dim(nats.sum(axis=2), event_shape)
    error = bits.std(axis=1, ddof=1) / math.sqrt(draws) if draws > 1 else np.nan
    columns = {
        "file": np.array([name for name, _ in batch], object),
        "log_prob": nats.sum(axis=2).mean(axis=1),
        "bits_per_dim": bits.mean(axis=1),
        "standard_error": np.broadcast_to(error, [len(batch)]),
        "typicality": typicality(bits.mean(axis=1), reference),
    }
    if scales > 1:
        by_scale = bits_per_dim(nats.mean(axis=1), event_shape).T
        for i, values in enumerate(by_scale, start=1):
            columns[f"bits_per_dim_scale_{i}"] = values
    if group is not None:
        columns["group"] = np.full([len(batch)], group, object)
    return {**columns, "error": errors}


def _check_damaged(batch: Sequence[tuple[str, Decoded]]) -> None:
    damaged = [
        f"{shown(name)} ({decoded.damage})" for name, decoded in batch if decoded.damage
    ]
    if damaged:
        raise ValueError(
            f"paths: expected images that can be read, got {', '.join(damaged[:5])}. "
            "Remove them, or leave them out with skip_damaged (--skip-damaged)."
        )
