"""The configuration of a training run."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from tfp_realnvp.arguments import check_int, check_number, check_text
from tfp_realnvp.data import ImageData, load_images
from tfp_realnvp.flows import image_flow
from tfp_realnvp.flows.presets import resolve_preset
from tfp_realnvp.training.flow_model import FlowModel

_DEFAULT_RECIPE: dict[str, Any] = {
    "batch_size": 64,
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "warmup_steps": 0,
    "average_decay": None,
}
# What `docs/results.md` found to be better.
_PLUS = {"learning_rate": 4e-3, "schedule": "trapezoid", "warmup_steps": 100}
RECIPES = {
    # Section 4.1: "ADAM with default hyperparameters".
    "cifar10": {**_DEFAULT_RECIPE, "schedule": "constant"},
    "cifar10-plus": {**_DEFAULT_RECIPE, **_PLUS},
    "digits": {**_DEFAULT_RECIPE, **_PLUS},
}
_OF_IMAGES = ("image_size", "channels", "crop", "augment", "skip_damaged", "labels")
# A resumed run may change the place of the data and the handling of failed steps: its
# successful steps stay the same.
_FREE = frozenset({"data_dir", "on_non_finite", "max_skipped_in_a_row"})


def recipe_of(preset: str) -> dict[str, Any]:
    """Returns the arguments of `RunConfig` for training a preset's flow.

    Raises:
      ValueError: If there is no such preset.
    """
    resolve_preset(preset)
    return dict(RECIPES.get(preset, _DEFAULT_RECIPE))


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All settings that a run depends on.

    Attributes:
      dataset: Name of the data set, see `tfp_realnvp.data.load_images`.
      flow: Arguments of `image_flow`.
      batch_size: Images in an update.
      epochs: Passes through the data, unless `minutes` ends training earlier.
      learning_rate: Peak learning rate of Adam, see `LearningRate`.
      seed: Seeds weights, order of the data and noise.
      schedule: How the learning rate changes, see `LearningRate`.
      warmup_steps: Steps over which the learning rate first rises.
      data_dir: Folder of the data, see `load_images`, or `None`.
      image_size: Side of the images, or `None` for the data set's own.
      channels: Of the user's own images, see `load_images`, as for the next four.
      crop: How images become squares.
      augment: Whether images are mirrored at random.
      skip_damaged: Whether unreadable images are left out.
      labels: File of the images' classes, or `None`.
      images: Fingerprint of the images, see `ImageData.fingerprint`; `None` if unknown.
      condition_names: Names of the classes or attributes of a conditional flow.
      minutes: Time limit of training, or `None`.
      accumulate: Number of parts in which each batch is processed, in sequence.
      jit_compile: Whether XLA compiles the steps.
      average_decay: Decay of the weights' moving average, or `None` for no average.
      on_non_finite: See `FlowModel.compile`.
      max_skipped_in_a_row: See `FlowModel.compile`.

    Raises:
      ValueError: If a number is out of range, or `batch_size` is not divisible by
        `accumulate`.
    """

    dataset: str
    flow: dict[str, Any]
    batch_size: int
    epochs: int
    learning_rate: float
    seed: int
    schedule: Literal["constant", "cosine", "trapezoid"] = "cosine"
    warmup_steps: int = 0
    data_dir: str | None = None
    image_size: int | None = None
    channels: Literal[1, 3] | None = None
    crop: Literal["center", "random", "none"] = "center"
    augment: Literal["flip"] | None = None
    skip_damaged: bool = False
    labels: str | None = None
    images: str | None = None
    condition_names: Sequence[str] | None = None
    minutes: float | None = None
    accumulate: int = 1
    jit_compile: bool = False
    average_decay: float | None = None
    on_non_finite: Literal["stop", "skip"] = "stop"
    max_skipped_in_a_row: int = 10

    def __post_init__(self) -> None:
        check_text("dataset", self.dataset)
        for name in ("batch_size", "epochs", "accumulate"):
            check_int(name, getattr(self, name))
        check_int("warmup_steps", self.warmup_steps, least=0)
        check_number("learning_rate", self.learning_rate, least=0)
        if self.batch_size % self.accumulate:
            raise ValueError(
                "accumulate: expected a divisor of the batch size, "
                f"{self.batch_size}; got {self.accumulate}."
            )

    @property
    def is_conditional(self) -> bool:
        """Whether the flow is conditioned on the data's classes or attributes."""
        return self.flow.get("condition_size") is not None

    @property
    def image_options(self) -> dict[str, Any]:
        """The arguments of `load_images` about images."""
        return {name: getattr(self, name) for name in _OF_IMAGES}

    @property
    def step_size(self) -> int:
        """Images in a step of training."""
        return self.batch_size // self.accumulate

    def load_data(self, data_dir: str | os.PathLike | None = None) -> ImageData:
        """Returns the run's images, checked to be unchanged, with any conditions.

        Args:
          data_dir: Present folder of the data; `None` is the configured one.

        Raises:
          FileNotFoundError: If the data are missing.
          ImportError: If the data need a package that is not installed.
          ValueError: If there is no such data set, or its images or conditions are not
            those that the run was trained on.
        """
        try:
            data = load_images(
                self.dataset,
                data_dir=data_dir or self.data_dir,
                conditional=self.is_conditional,
                **self.image_options,
            )
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{error} If the images have moved, pass their folder as --data-dir."
            ) from error
        found = data.fingerprint()
        if self.images not in (None, found):
            raise ValueError(
                f"dataset: expected the images that the run was trained on, "
                f"{self.images}; got {found}. Files were added, removed or changed "
                "since, so the test images may differ, or the run may have trained on "
                "some: restore the files, or train a new run."
            )
        if self.is_conditional and data.condition_size != self.flow["condition_size"]:
            raise ValueError(
                f"condition_size: expected {data.condition_size}, the classes or "
                f"attributes in {data.name!r}; got {self.flow['condition_size']}."
            )
        return data

    def build_model(self, strategy: tf.distribute.Strategy | None = None) -> FlowModel:
        """Returns the run's model with its initial weights, compiled.

        Args:
          strategy: The `tf.distribute` strategy for training, see `make_strategy`;
            `None` is a single device.

        Raises:
          ValueError: If the strategy does not support these settings.
        """
        several = strategy is not None and strategy.cluster_resolver is not None
        if self.minutes is not None and several:
            raise ValueError(
                "minutes: expected None on several workers, whose clocks differ; got "
                f"{self.minutes}. Limit the epochs instead."
            )
        keras.utils.set_random_seed(self.seed)
        parts = self.accumulate if self.accumulate > 1 else None
        with (strategy or tf.distribute.get_strategy()).scope():
            model = FlowModel(image_flow(**self.flow, seed=self.seed), seed=self.seed)
            optimizer = keras.optimizers.Adam(
                self.learning_rate,
                global_clipnorm=100.0,
                gradient_accumulation_steps=parts,
            )
            model.compile(
                optimizer,
                jit_compile=self.jit_compile,
                average_decay=self.average_decay,
                on_non_finite=self.on_non_finite,
                max_skipped_in_a_row=self.max_skipped_in_a_row,
            )
        return model

    def check_goes_on_from(self, before: RunConfig) -> None:
        """Checks that a run with the configuration `before` can continue with this one.

        The number of epochs may be larger than before.

        Raises:
          ValueError: Naming the first thing that differs.
        """
        differences = before.differences(self)
        if self.epochs > before.epochs:
            differences.pop("epochs")
        for name, (began, got) in differences.items():
            raise ValueError(
                f"resume: expected {name} as the run began with, {began!r}; got "
                f"{got!r}."
            )

    def differences(self, other: RunConfig) -> dict[str, tuple[Any, Any]]:
        """Returns the settings that differ from `other`, by name: (self's, other's).

        The place of the data and the handling of failed steps do not count.
        """
        here, there = _flat(self), _flat(other)
        return {
            name: (here.get(name), there.get(name))
            for name in sorted({*here, *there} - _FREE)
            if here.get(name) != there.get(name)
        }


def _flat(config: RunConfig) -> dict[str, Any]:
    values = dataclasses.asdict(config)
    values |= {f"flow.{name}": value for name, value in values.pop("flow").items()}
    # JSON turns tuples into lists.
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
