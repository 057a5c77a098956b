"""The folder that a training run fills."""

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
# What a new run in the folder of another must not be taken to have made.
_WRITTEN = frozenset(
    {
        "average.weights.h5",
        "best.weights.h5",
        "checkpoint.npz",
        "config.json",
        "evaluation.json",
        "figures",
        "health.json",
        "history.csv",
        "learning_curve.png",
        "model.weights.h5",
        REFERENCE_SCORES,
        "samples.png",
        "samples_drawn.png",
        "saved_model",
        "summary.json",
        "tensorboard",
    }
)


class RunDirectory:
    """The folder of one run: configuration, checkpoint, weights, pictures, summary.

    Args:
      path: The folder.
    """

    def __init__(self, path: str | os.PathLike):
        check_path("path", path)
        self.path = pathlib.Path(path)

    def weights(self, which: str = "last") -> pathlib.Path:
        """Returns where weights are.

        Args:
          which: `"last"`, `"best"` on the validation images, or `"average"`, the moving
            average of a run with `average_decay`.

        Raises:
          ValueError: If it is none of these.
        """
        names = {
            "last": "model.weights.h5",
            "best": "best.weights.h5",
            "average": "average.weights.h5",
        }
        check_choice("weights", which, names)
        return self.path / names[which]

    @property
    def checkpoint(self) -> pathlib.Path:
        """Where training that was cut off can go on from."""
        return self.path / "checkpoint.npz"

    @property
    def history(self) -> pathlib.Path:
        """Where the logs of all epochs are."""
        return self.path / "history.csv"

    @property
    def is_begun(self) -> bool:
        """Whether there is a run in the folder."""
        return self._config.is_file()

    @property
    def is_finished(self) -> bool:
        """Whether there is a run in the folder that has come to its end."""
        return (self.path / "summary.json").is_file()

    @property
    def of_seeds(self) -> list[str]:
        """Names of the runs in the folder, if it is that of `train --seeds`."""
        return sorted(path.parent.name for path in self.path.glob("seed-*/config.json"))

    @property
    def _config(self) -> pathlib.Path:
        return self.path / "config.json"

    @classmethod
    def create(
        cls, path: str | os.PathLike, config: RunConfig, *, overwrite: bool = False
    ) -> RunDirectory:
        """Makes the folder and writes `config.json` into it.

        Args:
          path: The folder; it must not exist or be empty, unless `overwrite`.
          config: The run's configuration.
          overwrite: Python `bool`, whether to write over another run.

        Raises:
          FileExistsError: If the folder holds anything and `overwrite` is `False`.
        """
        run = cls(path)
        run.check_free(overwrite=overwrite)
        run.path.mkdir(parents=True, exist_ok=True)
        remove_unfinished(run.path)
        for path in run.path.iterdir():
            if path.name in _WRITTEN and path.is_dir():
                shutil.rmtree(path)
            elif path.name in _WRITTEN:
                path.unlink()
        packages = ("tensorflow", "tensorflow-probability", "keras", "numpy")
        versions = {name: importlib.metadata.version(name) for name in packages}
        write_json(run._config, {**dataclasses.asdict(config), "versions": versions})
        return run

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes from writing a run into the folder, which is made.

        The lock is over when the process is, however it ends.

        Raises:
          BlockingIOError: If another process does.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        message = f"run: another process is writing into {self.path}."
        with locked(self.path / ".lock", message):
            yield

    def extend(self, config: RunConfig) -> None:
        """Makes the run one of more epochs, which it has yet to be trained for.

        Args:
          config: The run's own configuration, but for `epochs`.
        """
        values = json.loads(self._config.read_text(encoding="utf-8"))
        # It says that the run has come to its end.
        (self.path / "summary.json").unlink(missing_ok=True)
        write_json(self._config, {**values, "epochs": config.epochs})

    def check_free(self, *, overwrite: bool) -> None:
        """Checks that a new run may have the folder.

        Raises:
          FileExistsError: If it is a file, or holds anything and `overwrite` is
            `False`.
        """
        # `runs/../old` is there even where `runs` is not.
        path = self.path.resolve()
        if not path.exists():
            return
        if not path.is_dir():
            raise FileExistsError(f"run: expected a folder, but {self.path} is a file.")
        # What is hidden is half written, or not a run's.
        seen = (p for p in path.iterdir() if not p.name.startswith("."))
        if any(seen) and not overwrite:
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
        if not self._config.is_file():
            message = (
                f"run: expected a folder written by `tfp-realnvp train`, got "
                f"{self.path} without config.json."
            )
            if self.of_seeds:
                message += f" It holds a run for each seed: {', '.join(self.of_seeds)}."
            raise FileNotFoundError(message)
        try:
            values = json.loads(self._config.read_text(encoding="utf-8"))
            values.pop("versions")
            return RunConfig(**values)
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
        ) as error:
            raise ValueError(f"run: {self._config} is damaged: {error}") from error

    def check_weights(self, which: str = "last") -> None:
        """Checks that the run has weights, see `weights`.

        Raises:
          FileNotFoundError: If there are none.
        """
        weights = self.weights(which)
        if not weights.is_file():
            raise FileNotFoundError(
                f"run: {self.path} holds no weights {weights.name}; training ended "
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
        config = self.load_config()
        self.check_weights(which)
        weights = self.weights(which)
        try:
            model = config.build_model()
        except (TypeError, KeyError) as error:
            raise ValueError(f"run: {self._config} is damaged: {error}") from error
        try:
            model.load_weights(weights)
        except Exception as error:
            # HDF5 and Keras raise whatever comes of the bytes they find.
            raise ValueError(
                f"run: {weights} is damaged or belongs to another flow: {error}"
            ) from error
        for weight in model.weights:
            if not np.isfinite(weight.numpy()).all():
                raise ValueError(
                    f"run: {weights} is damaged: {weight.path} holds NaN or infinity."
                )
        return model
