"""Keeping what a run has reached."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

import keras

from tfp_realnvp.arguments import check_int
from tfp_realnvp.files import atomic_path, remove_unfinished
from tfp_realnvp.runs.checkpoint import Progress, save_checkpoint
from tfp_realnvp.runs.run_directory import RunDirectory


class Keeper(keras.callbacks.Callback):
    """Writes checkpoints, weights and the history of a run into its folder.

    A checkpoint is written every so many steps and after every epoch; after an epoch
    also the weights, the averaged ones, the best on the validation images, and
    `history.csv`. All that is in these files is in the checkpoint, or follows from it
    again: a run that was killed between two of them loses nothing.

    Args:
      directory: The run's folder; `None`, as for all workers but the chief, writes
        nothing.
      progress: How far the run has come; it is kept up to date.
      every_steps: Python `int`, steps between checkpoints.
    """

    def __init__(
        self, directory: RunDirectory | None, progress: Progress, every_steps: int
    ):
        super().__init__()
        check_int("checkpoint_steps", every_steps)
        if directory is not None:
            remove_unfinished(directory.path)
        self._directory = directory
        self._progress = progress
        self._every_steps = every_steps
        self._seconds_before = progress.seconds
        self._skipped_before = progress.skipped_steps
        self._begin: float | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        self._begin = self._begin or time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        for variable, value in zip(
            self.model.metrics_variables, self._progress.metrics, strict=False
        ):
            variable.assign(value)
        self._progress.metrics = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        # After the last step of an epoch its validation is still to come, which a run
        # that went on from there would leave out.
        is_last = batch + 1 == self.params["steps"] or self.model.stop_training
        if self.model.step % self._every_steps == 0 and not is_last:
            self.save()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._progress.history.append({k: float(v) for k, v in logs.items()})
        if self._is_best(logs):
            self._save_weights("best")
        self._save_weights("last")
        if self.model.has_average:
            with self.model.averaged_weights():
                self._save_weights("average")
        if self._directory is not None:
            _write_csv(self._directory.history, self._progress.history)
        # Last: a run that goes on from here does not write the others again.
        self.save(in_epoch=False)

    def save(self, *, in_epoch: bool = True) -> None:
        """Writes a checkpoint.

        Args:
          in_epoch: Python `bool`, whether the metrics of the epoch are to go on.
        """
        progress = self._progress
        progress.metrics = [
            float(variable.numpy())
            for variable in (self.model.metrics_variables if in_epoch else ())
        ]
        progress.step = self.model.step
        now = time.monotonic()
        progress.seconds = self._seconds_before + now - (self._begin or now)
        progress.skipped_steps = self._skipped_before + self.model.skipped_steps
        path = None if self._directory is None else self._directory.checkpoint
        save_checkpoint(path, self.model, progress)
        progress.metrics = []

    def _is_best(self, logs: dict[str, float]) -> bool:
        score = logs.get("val_bits_per_dim", logs.get("val_nll"))
        best = self._progress.best
        if score is None or not (best is None or score < best):
            return False
        self._progress.best = score
        return True

    def _save_weights(self, which: str) -> None:
        if self._directory is None:
            return
        # On a disk that fills HDF5 can crash.
        weights = _WeightsInMemory()
        self.model.save_weights(weights)
        with atomic_path(self._directory.weights(which)) as temporary:
            temporary.write_bytes(weights.getbuffer())


class _WeightsInMemory(io.BytesIO):
    """What Keras takes for a file of weights."""

    def __str__(self) -> str:
        return "in_memory.weights.h5"


def _write_csv(path: Any, history: list[dict[str, float]]) -> None:
    names = list(dict.fromkeys(name for logs in history for name in logs))
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", *names], lineterminator="\n")
    writer.writeheader()
    for epoch, logs in enumerate(history):
        writer.writerow({"epoch": epoch, **logs})
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
