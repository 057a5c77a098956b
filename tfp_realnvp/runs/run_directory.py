"""The folder of a training run."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import shutil
from collections.abc import Iterator

import numpy as np

from tfp_realnvp.arguments import check_choice, check_path
from tfp_realnvp.files import locked, remove_unfinished, write_json
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.training.flow_model import FlowModel

REFERENCE_SCORES = "reference_scores.json"
_WEIGHTS = {
    "last": "model.weights.h5",
    "best": "best.weights.h5",
    "average": "average.weights.h5",
}
# Files of an earlier run that must not be taken for those of a new one.
_WRITTEN = f"""
    {" ".join(_WEIGHTS.values())} checkpoint.npz config.json history.csv summary.json
    learning_curve.png samples.png samples_drawn.png evaluation.json health.json
    {REFERENCE_SCORES} figures saved_model tensorboard
""".split()


class RunDirectory:
    """The folder of one run: configuration, checkpoint, weights, pictures, summary.

    Args:
      path: The folder.
    """

    def __init__(self, path: str | os.PathLike):
        check_path("path", path)
        self.path = pathlib.Path(path)
        self._config = self.path / "config.json"

    def weights(self, which: str = "last") -> pathlib.Path:
        """Returns the path of weights.

        Args:
          which: `"last"`, `"best"` on the validation images, or `"average"`, the moving
            average of a run with `average_decay`.

        Raises:
          ValueError: If it is not one of these.
        """
        check_choice("weights", which, _WEIGHTS)
        return self.path / _WEIGHTS[which]

    @property
    def checkpoint(self) -> pathlib.Path:
        """Path of the checkpoint, from which interrupted training continues."""
        return self.path / "checkpoint.npz"

    @property
    def history(self) -> pathlib.Path:
        """Path of the logs of all epochs."""
        return self.path / "history.csv"

    @property
    def is_begun(self) -> bool:
        """Whether the folder contains a run."""
        return self._config.is_file()

    @property
    def is_finished(self) -> bool:
        """Whether the folder contains a finished run."""
        return (self.path / "summary.json").is_file()

    @classmethod
    def create(
        cls, path: str | os.PathLike, config: RunConfig, *, overwrite: bool = False
    ) -> RunDirectory:
        """Makes the folder and writes `config.json` into it.

        Args:
          path: The folder, which must be new or empty unless `overwrite`.
          config: The run's configuration.
          overwrite: Python `bool`, whether to replace another run.

        Raises:
          FileExistsError: If the folder holds anything and `overwrite` is `False`.
        """
        run = cls(path)
        run.check_free(overwrite=overwrite)
        run.path.mkdir(parents=True, exist_ok=True)
        remove_unfinished(run.path)
        for written in (run.path / name for name in _WRITTEN):
            if written.is_dir():
                shutil.rmtree(written)
            else:
                written.unlink(missing_ok=True)
        packages = ("tensorflow", "tensorflow-probability", "keras", "numpy")
        versions = {name: importlib.metadata.version(name) for name in packages}
        write_json(run._config, {**dataclasses.asdict(config), "versions": versions})
        return run

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Locks the folder, or raises `BlockingIOError` if another process holds it."""
        self.path.mkdir(parents=True, exist_ok=True)
        message = f"run: another process is writing into {self.path}."
        with locked(self.path / ".lock", message):
            yield

    def extend(self, config: RunConfig) -> None:
        """Gives the run the `epochs` of `config`, and marks it as not finished."""
        values = json.loads(self._config.read_text(encoding="utf-8"))
        # This file marks the run as finished.
        (self.path / "summary.json").unlink(missing_ok=True)
        write_json(self._config, {**values, "epochs": config.epochs})

    def check_free(self, *, overwrite: bool) -> None:
        """Raises `OSError` unless a new run may use the folder."""
        # `runs/../old` can exist even if `runs` does not.
        path = self.path.resolve()
        # Hidden files are half written, or not part of a run.
        if not path.exists() or (overwrite and path.is_dir()):
            return
        if any(not inside.name.startswith(".") for inside in path.iterdir()):
            raise FileExistsError(
                f"run: {self.path} is not empty. Choose another --name, or pass "
                "--resume to go on with it, or --overwrite to lose what is there."
            )

    def load_config(self) -> RunConfig:
        """Returns the run's configuration.

        Raises:
          FileNotFoundError: If the folder holds no run.
          ValueError: If `config.json` is not one of ours.
        """
        if not self.is_begun:
            raise FileNotFoundError(
                f"run: expected a folder written by `tfp-realnvp train`, got "
                f"{self.path} without config.json; `train --seeds` writes a run into "
                "each of its folders seed-*."
            )
        try:
            values = json.loads(self._config.read_text(encoding="utf-8"))
            del values["versions"]
            return RunConfig(**values)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValueError(f"run: {self._config} is damaged: {error}") from error

    def check_weights(self, which: str = "last") -> None:
        """Raises `FileNotFoundError` if the run has no such weights."""
        if not self.weights(which).is_file():
            raise FileNotFoundError(
                f"run: {self.path} holds no weights {_WEIGHTS[which]}; training ended "
                "before its first epoch, or keeps none of this kind."
            )

    def load_model(self, which: str = "last") -> FlowModel:
        """Returns the trained model.

        Args:
          which: Which weights, see `weights`.

        Raises:
          FileNotFoundError: If there are no weights.
          ValueError: If the weights do not fit the configuration, or are not finite.
        """
        config, weights = self.load_config(), self.weights(which)
        self.check_weights(which)
        try:
            model = config.build_model()
        except (TypeError, KeyError) as error:
            raise ValueError(f"run: {self._config} is damaged: {error}") from error
        try:
            model.load_weights(weights)
        except Exception as error:
            # On damaged bytes HDF5 and Keras raise errors of many classes.
            raise ValueError(
                f"run: {weights} is damaged or belongs to another flow: {error}"
            ) from error
        for weight in model.weights:
            if not np.isfinite(weight.numpy()).all():
                raise ValueError(
                    f"run: {weights} is damaged: {weight.path} holds NaN or infinity."
                )
        return model
