"""Checkpoints, from which training continues as if it had never stopped."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import pathlib
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int
from tfp_realnvp.files import atomic_path, remove_unfinished
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.training.flow_model import FlowModel


@dataclasses.dataclass
class Progress:
    """How far a run has come.

    Attributes:
      step: Number of batches so far, which is also the position in the data.
      seconds: Time spent in training.
      history: The logs of each completed epoch.
      best: Smallest validation score so far, `None` before the first.
      skipped_steps: Number of steps skipped because they were not finite.
      metrics: Values of the metrics' variables in the middle of an epoch.
      data: Fingerprint of the images, see `ImageData.fingerprint`.
    """

    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best: float | None = None
    skipped_steps: int = 0
    metrics: list[float] = dataclasses.field(default_factory=list)
    data: str = ""


def save_checkpoint(
    path: str | os.PathLike | None, model: FlowModel, progress: Progress
) -> None:
    """Writes weights, optimizer, averages, noise state and progress.

    With the path `None` it only reads the variables, which all workers do together.
    """
    variables = _variables(model).items()
    values = {name: tf.convert_to_tensor(v).numpy() for name, v in variables}
    if path is None:
        return
    text = np.array(json.dumps(dataclasses.asdict(progress)))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, progress=text, **values)


def load_checkpoint(path: str | os.PathLike, model: FlowModel) -> Progress:
    """Restores a model, compiled as when it was saved, from `save_checkpoint`'s file.

    Nothing in the model changes unless the whole file is valid. Loading runs no code
    from the file.
    """
    path = pathlib.Path(path)
    variables = _variables(model)
    try:
        # NumPy does not close damaged files that it opened itself.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            packed = [member for member in file.zip.infolist() if member.compress_type]
            if packed:
                # Unpacked, it could exceed the memory.
                raise ValueError(f"{packed[0].filename} is compressed")
            names = {*file.files} - {"progress"}
            fits = names == {*variables}
            values = {name: file[name] for name in file.files} if fits else {}
            progress = Progress(**json.loads(str(file["progress"])))
    except Exception as error:
        # On damaged bytes NumPy and zipfile raise errors of many classes.
        raise ValueError(
            f"checkpoint: {path} is damaged or no checkpoint: {error}"
        ) from error
    differ = names ^ {*variables} or {
        name
        for name, variable in variables.items()
        if (values[name].shape, values[name].dtype)
        != (tuple(variable.shape), tf.as_dtype(variable.dtype).as_numpy_dtype)
    }
    if differ:
        raise ValueError(
            f"checkpoint: {path} is damaged or no checkpoint, or belongs to another "
            f"model or optimizer: expected {len(variables)} variables, got "
            f"{len(names)}; the first that differs is {min(differ)!r}."
        )
    for name, variable in variables.items():
        variable.assign(values[name])
    model.step = progress.step
    return progress


def _variables(model: FlowModel) -> dict[str, Any]:
    groups = {
        "weights": model.weights,
        "optimizer": model.optimizer.variables,
        "noise": model.noise_states,
        "average": [] if model.average is None else model.average.variables,
    }
    return {
        # All are Keras variables but the average's, which are `tf.Variable`s.
        f"{group}/{i}": variable if group == "average" else variable.value
        for group, variables in groups.items()
        for i, variable in enumerate(variables)
    }


class Checkpoints(keras.callbacks.Callback):
    """Writes checkpoints, weights and the history of a run into its folder.

    The checkpoint contains or reproduces the content of all other files, so a run that
    is killed between two writes loses nothing. Updates `progress`. Without a folder,
    as on all workers but the chief, writes nothing.
    """

    def __init__(
        self, directory: RunDirectory | None, progress: Progress, every_steps: int
    ):
        super().__init__()
        check_int("checkpoint_steps", every_steps)
        if directory is not None:
            remove_unfinished(directory.path)
        self._directory, self._progress = directory, progress
        self._every_steps = every_steps
        self._before = dataclasses.replace(progress)
        self._begin: float | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        self._begin = self._begin or time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        metrics = self._progress.metrics
        for variable, value in zip(self.model.metrics_variables, metrics, strict=False):
            variable.assign(value)
        self._progress.metrics = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        # Not after the last step of an epoch: a run resumed from there would leave out
        # the validation.
        is_last = batch + 1 == self.params["steps"] or self.model.stop_training
        if self.model.step % self._every_steps == 0 and not is_last:
            self.save()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        progress = self._progress
        progress.history.append({k: float(v) for k, v in logs.items()})
        score = logs.get("val_bits_per_dim", logs.get("val_nll"))
        if score is not None and (progress.best is None or score < progress.best):
            progress.best = score
            self._save_weights("best")
        self._save_weights("last")
        if self.model.has_average:
            with self.model.averaged_weights():
                self._save_weights("average")
        if self._directory is not None:
            _write_csv(self._directory.history, progress.history)
        # Last, as a run resumed from here does not write the other files again.
        self.save(in_epoch=False)

    def save(self, *, in_epoch: bool = True) -> None:
        """Writes a checkpoint, with the metrics if inside of an epoch."""
        progress, now = self._progress, time.monotonic()
        variables = self.model.metrics_variables if in_epoch else ()
        progress.metrics = [float(variable.numpy()) for variable in variables]
        progress.step = self.model.step
        progress.seconds = self._before.seconds + now - (self._begin or now)
        progress.skipped_steps = self._before.skipped_steps + self.model.skipped_steps
        path = None if self._directory is None else self._directory.checkpoint
        save_checkpoint(path, self.model, progress)
        progress.metrics = []

    def _save_weights(self, which: str) -> None:
        if self._directory is None:
            return
        # HDF5 can crash when the disk becomes full.
        weights = _WeightsInMemory()
        self.model.save_weights(weights)
        with atomic_path(self._directory.weights(which)) as temporary:
            temporary.write_bytes(weights.getbuffer())


class _WeightsInMemory(io.BytesIO):
    """A buffer that Keras takes for a file of weights."""

    def __str__(self) -> str:
        return "in_memory.weights.h5"


def _write_csv(path: pathlib.Path, history: list[dict[str, float]]) -> None:
    names = dict.fromkeys(name for logs in history for name in logs)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["epoch", *names], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"epoch": i, **logs} for i, logs in enumerate(history))
