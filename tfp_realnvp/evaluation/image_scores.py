"""Images that a run has never seen, scored by its flow."""

from __future__ import annotations

import contextlib
import csv
import itertools
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int, check_seed
from tfp_realnvp.data.image_file import Decoded, hash_of
from tfp_realnvp.data.image_files import find_images, read_images, shown
from tfp_realnvp.data.progress import ProgressBar
from tfp_realnvp.evaluation.split_scores import dequantized
from tfp_realnvp.evaluation.typicality import reference_scores, roc_auc, typicality
from tfp_realnvp.files import check_output, locked
from tfp_realnvp.flows import bits_per_dim
from tfp_realnvp.flows.latent_scales import log_prob_by_scale
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.training.flow_model import FlowModel

# How many of the strangest images are kept to be shown, and of the most ordinary.
SHOWN = 24
# Columns that do not hold numbers.
_WORDS = frozenset({"file", "group", "error"})


class ImageScores(NamedTuple):
    """What `score_images` has found.

    Attributes:
      columns: Arrays with one entry for each image, by name: `file`; `log_prob`, in
        nats, the mean over draws of the noise; `bits_per_dim`, the same in bits/dim;
        `standard_error` of that, over draws; `typicality`, a p-value; for a flow of
        several scales `bits_per_dim_scale_1` and so on, finest first, which add up to
        `bits_per_dim`; `group`, `"normal"` or `"other"`, where groups were given; and
        `error`, why a file has no scores (these are NaN), or `""`.
      reference: Bits/dim of validation images of the run, array of shape [n].
      pictures: The first and the last of `order()` as the flow saw them, `uint8`, by
        their number.
    """

    columns: dict[str, np.ndarray]
    reference: np.ndarray
    pictures: dict[int, np.ndarray]

    def order(self) -> np.ndarray:
        """Returns the numbers of the images that have scores, strangest first.

        Those that were given as normal are left out.
        """
        return _order(self.columns, self.reference)

    def roc_auc(self) -> dict[str, tuple[float, float]]:
        """Returns how well other images are told from normal ones, by the score.

        Returns:
          `dict` of pairs, the ROC-AUC and its standard error: `"likelihood"` takes
          images of more bits/dim for the others, `"typicality"` those of smaller
          p-values. Empty if there are not two of each group.
        """
        if "group" not in self.columns:
            return {}
        group = np.where(self.columns["error"] == "", self.columns["group"], "")
        masks = group == "normal", group == "other"
        if min(np.count_nonzero(mask) for mask in masks) < 2:
            return {}
        scores = {
            "likelihood": self.columns["bits_per_dim"],
            "typicality": -self.columns["typicality"],
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
    """Scores image files by the flow of a run.

    They are made into images of the run's size as its own were, read a few at a time.
    An image gets the same noise, and so the same scores, whatever is scored beside it.
    Under a flow that is conditioned on classes, the density is the mean over them: of
    new images the class is not known.

    Args:
      run: Folder of the run.
      paths: Folders, archives, image files, lists of them (`.txt`), or patterns.
      normal: The same, of images that are known to be of the run's kind; those in
        `paths` are the others then, and `ImageScores.roc_auc` tells how well the
        scores tell them apart.
      draws: Python `int`, how often noise is added to each image.
      seed: Python `int`, of the noise.
      batch_size: Python `int`; a matter of memory and speed alone.
      weights: Which weights, see `RunDirectory.weights`.
      data_dir: Where the run's own images are now; `None` is where they were. They are
        needed once, for `ImageScores.reference`, see `reference_scores`.
      skip_damaged: Python `bool`, whether to go on without files that cannot be read.
      output: CSV file to write the columns to. Until all are scored its name ends in
        `.partial`, and it has the rows so far.

    Raises:
      FileNotFoundError: If there is no such run, or there are no images.
      ValueError: If a file cannot be read, or an argument is out of range.
    """
    for name, value in (("draws", draws), ("batch_size", batch_size)):
        check_int(name, value)
    check_seed("seed", seed, optional=False)
    if output is not None:
        check_output(pathlib.Path(output))
    directory = RunDirectory(run)
    config = directory.load_config()
    directory.check_weights(weights)
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
    crop: Literal["center", "none"] = "none" if config.crop == "none" else "center"
    count = sum(len(f.stamps) for found in groups.values() for f in found.values())
    table = _Table(count, _names(model, groups), reference, shape)
    progress, done = ProgressBar(count), 0
    with _written_to(output, table) as write:
        for group, found in groups.items():
            images = read_images(
                found, image_size=shape[0], channels=shape[2], crop=crop
            )
            while batch := list(itertools.islice(images, batch_size)):
                if not skip_damaged:
                    _check_damaged(batch)
                table.add(done, group, batch, score)
                write(slice(done, done + len(batch)))
                done += len(batch)
                progress.update(done)
    return ImageScores(table.columns, reference, table.pictures)


def _listed(
    paths: str | os.PathLike | Sequence[str | os.PathLike],
) -> list[str | os.PathLike]:
    return [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)


def _scorer(
    model: FlowModel, draws: int, seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function of images that returns log-densities in nats.

    They are of shape [N, draws, scales]; the scales add up.
    """
    classes, numbers = model.condition_size, tf.TensorSpec([None], tf.int64)
    images = tf.TensorSpec([None, *model.flow.event_shape], tf.uint8)

    @tf.function(
        autograph=False,
        input_signature=[images, numbers, tf.TensorSpec([], tf.int64)],
    )
    def parts(images: tf.Tensor, numbers: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
        pixels = dequantized(model, images, numbers, draw, seed)
        if classes is None:
            return log_prob_by_scale(model.flow, pixels)

        def of_class(label: tf.Tensor) -> tf.Tensor:
            labels = tf.fill(tf.shape(numbers), label)
            return model.log_prob_parts(pixels, labels)[0]

        # One after the other, for the sake of memory.
        by_class = tf.map_fn(
            of_class,
            tf.range(classes),
            fn_output_signature=pixels.dtype,
            parallel_iterations=1,
        )
        mean = tf.reduce_logsumexp(by_class, axis=0) - math.log(classes)
        return mean[:, tf.newaxis]

    def score(images: np.ndarray) -> np.ndarray:
        numbers = tf.constant([hash_of(x.tobytes()) >> 1 for x in images], tf.int64)
        found = [
            parts(tf.constant(images), numbers, tf.constant(draw, tf.int64))
            for draw in range(draws)
        ]
        return np.stack(found, axis=1).astype(np.float64)

    return score


def _names(model: FlowModel, groups: Mapping[str, object]) -> list[str]:
    """Returns the names of the columns."""
    names = ["file", "log_prob", "bits_per_dim", "standard_error", "typicality"]
    scales = model.flow.bijector.bijectors[1].num_scales
    if scales > 1 and model.condition_size is None:
        names += [f"bits_per_dim_scale_{i}" for i in range(1, scales + 1)]
    return [*names, *(["group"] if len(groups) > 1 else []), "error"]


class _Table:
    """The columns of `ImageScores`, filled batch after batch."""

    def __init__(
        self,
        count: int,
        names: Sequence[str],
        reference: np.ndarray,
        event_shape: Sequence[int],
    ):
        self.columns = {
            name: np.full([count], "", object)
            if name in _WORDS
            else np.full([count], np.nan)
            for name in names
        }
        self.pictures: dict[int, np.ndarray] = {}
        self._reference, self._event_shape = reference, event_shape

    def add(
        self,
        first: int,
        group: str,
        batch: Sequence[tuple[str, Decoded]],
        score: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        """Takes a batch in, of which the first image has this number."""
        part = slice(first, first + len(batch))
        columns = {name: column[part] for name, column in self.columns.items()}
        columns["file"][:] = [name for name, _ in batch]
        columns["error"][:] = [decoded.damage or "" for _, decoded in batch]
        if "group" in columns:
            columns["group"][:] = group
        read = np.flatnonzero(columns["error"] == "")
        if not len(read):
            return
        pixels = np.stack([batch[i][1].pixels for i in read.tolist()])
        nats = score(pixels)
        log_prob, draws = nats.sum(axis=2), nats.shape[1]
        bits = bits_per_dim(log_prob, self._event_shape)
        columns["log_prob"][read] = log_prob.mean(axis=1)
        columns["bits_per_dim"][read] = bits.mean(axis=1)
        if draws > 1:
            errors = bits.std(axis=1, ddof=1) / math.sqrt(draws)
            columns["standard_error"][read] = errors
        columns["typicality"][:] = typicality(columns["bits_per_dim"], self._reference)
        by_scale = bits_per_dim(nats.mean(axis=1), self._event_shape)
        for scale, values in enumerate(by_scale.T, start=1):
            if f"bits_per_dim_scale_{scale}" in columns:
                columns[f"bits_per_dim_scale_{scale}"][read] = values
        bad = read[~np.isfinite(log_prob).all(axis=1)]
        for name, column in columns.items():
            if name not in _WORDS:
                column[bad] = np.nan
        columns["error"][bad] = "the density is not a finite number"
        # Those of what is strangest and most ordinary so far.
        places = (first + read).tolist()
        candidates = {**self.pictures, **dict(zip(places, pixels, strict=True))}
        numbers = np.array(list(candidates))
        some = {name: column[numbers] for name, column in self.columns.items()}
        order = numbers[_order(some, self._reference)].tolist()
        self.pictures = {i: candidates[i] for i in (*order[:SHOWN], *order[-SHOWN:])}


def _order(columns: Mapping[str, np.ndarray], reference: np.ndarray) -> np.ndarray:
    """Returns what `ImageScores.order` does."""
    distance = np.abs(columns["bits_per_dim"] - np.median(reference))
    order = np.lexsort([-distance, columns["typicality"]])
    order = order[columns["error"][order] == ""]
    return order[columns["group"][order] != "normal"] if "group" in columns else order


def _check_damaged(batch: Sequence[tuple[str, Decoded]]) -> None:
    damaged = [
        f"{shown(name)} ({decoded.damage})" for name, decoded in batch if decoded.damage
    ]
    if damaged:
        raise ValueError(
            f"paths: expected images that can be read, got {', '.join(damaged[:5])}. "
            "Remove them, or go on without them: skip_damaged (--skip-damaged)."
        )


@contextlib.contextmanager
def _written_to(
    output: str | os.PathLike | None, table: _Table
) -> Iterator[Callable[[slice], None]]:
    """Yields a function that writes rows, which stay if it is the last one called."""
    if output is None:
        yield lambda rows: None
        return
    path = pathlib.Path(output)
    partial = path.with_name(f"{path.name}.partial")
    lock = path.with_name(f".{path.name}.lock")
    # A stranger's file name need not be text.
    with (
        locked(lock, f"output: another process is writing {path}."),
        partial.open(
            "w", encoding="utf-8", errors="backslashreplace", newline=""
        ) as file,
    ):
        writer = csv.writer(file)
        writer.writerow(table.columns)

        def write(rows: slice) -> None:
            cells = ([_cell(x) for x in c[rows]] for c in table.columns.values())
            writer.writerows(zip(*cells, strict=True))
            file.flush()

        yield write
        os.fsync(file.fileno())
        os.replace(partial, path)


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:.7g}"
