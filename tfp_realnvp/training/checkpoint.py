"""All that training needs to go on as if it had not stopped, in one file."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import zipfile
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.files import atomic_path
from tfp_realnvp.training.flow_model import FlowModel


@dataclasses.dataclass
class Progress:
    """How far a run has come.

    Attributes:
      step: Batches trained on, which is also the position in the data.
      seconds: Time spent in training.
      history: The logs of each epoch that is over.
      best: Smallest validation score so far, `None` before the first.
      skipped_steps: How many of the steps were not finite and left out.
      metrics: Variables of the metrics in the middle of an epoch.
      data: What the images were, see `ImageData.fingerprint`.
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

    The file is complete or not there: a checkpoint before it is replaced at the end.

    Args:
      path: Where to. `None` writes nothing, but takes part in what workers have to
        do together to read variables.
      model: The model, compiled.
      progress: How far it has come.

    Raises:
      OSError: If the file cannot be written; a checkpoint before it stays.
    """
    values = {
        name: tf.convert_to_tensor(variable).numpy()
        for name, variable in _variables(model).items()
    }
    if path is None:
        return
    progress_json = json.dumps(dataclasses.asdict(progress))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, progress=np.array(progress_json), **values)


def load_checkpoint(path: str | os.PathLike, model: FlowModel) -> Progress:
    """Sets a model to what a checkpoint holds, and returns how far it had come.

    Nothing in the model changes unless the whole file is good. No code in it is run.

    Args:
      path: A file that `save_checkpoint` wrote.
      model: The model, compiled as it was then.

    Raises:
      FileNotFoundError: If there is no file.
      ValueError: If it is damaged or belongs to another model.
    """
    path = pathlib.Path(path)
    variables = _variables(model)
    try:
        with np.load(path, allow_pickle=False) as file:
            values = {name: file[name] for name in file.files}
        progress = Progress(**json.loads(str(values.pop("progress"))))
    except FileNotFoundError:
        raise
    except (
        OSError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(
            f"checkpoint: {path} is damaged or no checkpoint: {error}"
        ) from error
    expected = {name: tuple(v.shape) for name, v in variables.items()}
    found = {name: value.shape for name, value in values.items()}
    if found != expected:
        names = sorted(set(found.items()) ^ set(expected.items()))
        raise ValueError(
            f"checkpoint: {path} belongs to another model or optimizer: expected "
            f"{len(expected)} variables, got {len(found)}; the first that differs is "
            f"{names[0][0]!r}."
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
        f"{group}/{i}": getattr(variable, "value", variable)
        if group != "average"
        else variable
        for group, variables in groups.items()
        for i, variable in enumerate(variables)
    }
