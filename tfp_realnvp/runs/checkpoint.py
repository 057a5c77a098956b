"""All that training needs to go on as if it had not stopped, in one file."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import zipfile
import zlib
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int, check_number, check_text, shortened
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
    expected = {
        name: (tuple(v.shape), np.dtype(tf.as_dtype(v.dtype).as_numpy_dtype))
        for name, v in variables.items()
    }
    try:
        # NumPy leaves a file that it opened itself open, where it is damaged.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            # Only now: a header can promise more than there is memory for.
            found = _shapes(file)
            progress_shape, _ = found.pop("progress")
            fits = found == expected
            values = {name: file[name] for name in file.files} if fits else {}
        if progress_shape != ():
            raise ValueError(f"its progress is of shape {progress_shape}")
        if fits:
            progress = _read_progress(str(values.pop("progress")))
    except FileNotFoundError:
        raise
    except (
        OSError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        NotImplementedError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(
            f"checkpoint: {path} is damaged or no checkpoint: {error}"
        ) from error
    if not fits:
        names = sorted({name for name, _ in set(found.items()) ^ set(expected.items())})
        raise ValueError(
            f"checkpoint: {path} belongs to another model or optimizer: expected "
            f"{len(expected)} variables, got {len(found)}; the first that differs is "
            f"{names[0]!r}."
        )
    for name, variable in variables.items():
        variable.assign(values[name])
    model.step = progress.step
    return progress


def _shapes(file: np.lib.npyio.NpzFile) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Returns shapes and dtypes of the arrays in a file, of which none is read yet."""
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError("it is a single array")
    shapes = {}
    # Not `None`, as it is once the file has been closed.
    archive: Any = file.zip
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name in shapes or name == member.filename:
            raise ValueError(f"{shortened(member.filename)} is no array of its own")
        with archive.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            if version != (1, 0):
                raise ValueError(f"{shortened(name)} is of another version")
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in "biufU" or size > member.file_size:
            raise ValueError(f"{shortened(name)} does not hold what it says")
        shapes[name] = shape, dtype
    return shapes


def _read_progress(text: str) -> Progress:
    progress = Progress(**json.loads(text))
    check_int("step", progress.step, least=0)
    check_int("skipped_steps", progress.skipped_steps, least=0)
    check_number("seconds", progress.seconds, least=0, expected="0 or more, and finite")
    if progress.best is not None:
        check_number("best", progress.best)
    check_text("data", progress.data)
    kinds = isinstance(progress.history, list), isinstance(progress.metrics, list)
    if not all(kinds) or not all(isinstance(logs, dict) for logs in progress.history):
        raise ValueError("its history or metrics are no lists")
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
