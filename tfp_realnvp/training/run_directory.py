"""The folder that a training run fills."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import pathlib
from typing import Any

from tfp_realnvp.files import write_json
from tfp_realnvp.flows import image_flow
from tfp_realnvp.training.flow_model import FlowModel


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All that a run depends on.

    Attributes:
      dataset: Name of the data set, see `tfp_realnvp.data.load_images`.
      flow: Arguments of `image_flow`.
      batch_size: Images in a training step.
      epochs: Passes through the data, unless `minutes` ends training earlier.
      learning_rate: Of Adam, at the start; see `CosineDecay`.
      seed: Seeds weights, order of the data and noise.
      data_dir: Folder of prepared TFDS data, or `None`.
      image_size: Side of the images, or `None` for the data set's own.
      minutes: Time limit of training, or `None`.
    """

    dataset: str
    flow: dict[str, Any]
    batch_size: int
    epochs: int
    learning_rate: float
    seed: int
    data_dir: str | None = None
    image_size: int | None = None
    minutes: float | None = None

    def build_model(self) -> FlowModel:
        """Returns the run's model with its initial weights, not compiled."""
        flow = image_flow(**self.flow, seed=self.seed)
        return FlowModel(flow, seed=self.seed)


class RunDirectory:
    """The folder of one run: `config.json`, `model.weights.h5`, pictures, summary.

    Args:
      path: The folder.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)

    @property
    def weights(self) -> pathlib.Path:
        """Where the weights are."""
        return self.path / "model.weights.h5"

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
        if run.path.exists() and not run.path.is_dir():
            raise FileExistsError(f"run: expected a folder, but {run.path} is a file.")
        if run.path.exists() and any(run.path.iterdir()) and not overwrite:
            raise FileExistsError(
                f"run: {run.path} is not empty. Choose another --name, or pass "
                "--overwrite to lose what is there."
            )
        run.path.mkdir(parents=True, exist_ok=True)
        packages = ("tensorflow", "tensorflow-probability", "keras", "numpy")
        versions = {name: importlib.metadata.version(name) for name in packages}
        # The old weights do not belong to the new configuration.
        run.weights.unlink(missing_ok=True)
        write_json(run._config, {**dataclasses.asdict(config), "versions": versions})
        return run

    def load_config(self) -> RunConfig:
        """Returns the run's configuration.

        Raises:
          FileNotFoundError: If the folder holds no run.
          ValueError: If `config.json` is not one of ours.
        """
        if not self._config.is_file():
            raise FileNotFoundError(
                f"run: expected a folder written by `tfp-realnvp train`, got "
                f"{self.path} without config.json."
            )
        try:
            values = json.loads(self._config.read_text(encoding="utf-8"))
            values.pop("versions")
            return RunConfig(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"run: {self._config} is damaged: {error}") from error

    def load_model(self) -> FlowModel:
        """Returns the trained model, not compiled.

        Raises:
          FileNotFoundError: If there are no weights.
          ValueError: If the weights do not fit the configuration.
        """
        config = self.load_config()
        if not self.weights.is_file():
            raise FileNotFoundError(
                f"run: {self.path} holds no weights; training ended before its first "
                "epoch."
            )
        model = config.build_model()
        try:
            model.load_weights(self.weights)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"run: {self.weights} is damaged or belongs to another flow: {error}"
            ) from error
        return model
