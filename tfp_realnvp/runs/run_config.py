"""What a training run is made from."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from tfp_realnvp.arguments import (
    check_choice,
    check_flag,
    check_int,
    check_number,
    check_path,
    check_seed,
    check_text,
    shortened,
)
from tfp_realnvp.choices import ON_NON_FINITE, SCHEDULES
from tfp_realnvp.data import ImageData, load_images
from tfp_realnvp.flows import image_flow
from tfp_realnvp.training.flow_model import FlowModel
from tfp_realnvp.training.update import check_decay

_OF_IMAGES = ("image_size", "channels", "crop", "augment", "skip_damaged", "labels")
# Where the data lie, and what is to happen when something goes wrong, may change
# while a run goes on: its steps are the same.
_FREE = frozenset({"data_dir", "on_non_finite", "max_skipped_in_a_row"})


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All that a run depends on.

    Attributes:
      dataset: Name of the data set, see `tfp_realnvp.data.load_images`.
      flow: Arguments of `image_flow`.
      batch_size: Images in an update.
      epochs: Passes through the data, unless `minutes` ends training earlier.
      learning_rate: Of Adam, the highest; see `LearningRate`.
      schedule: How it changes, see `LearningRate`.
      warmup_steps: Steps over which it first rises.
      seed: Seeds weights, order of the data and noise.
      data_dir: Where the data are, see `load_images`, or `None`.
      image_size: Side of the images, or `None` for the data set's own.
      channels: Of the user's own images, see `load_images`, as the next four.
      crop: How they are made into squares.
      augment: Whether they are mirrored.
      skip_damaged: Whether those that cannot be read are left out.
      labels: File of their classes, or `None`.
      images: What the images were, see `ImageData.fingerprint`; `None` if not known.
      condition_names: Names of their classes or attributes, if the flow takes them.
      minutes: Time limit of training, or `None`.
      accumulate: Parts that each batch is processed in, one after the other.
      jit_compile: Whether XLA compiles the steps.
      average_decay: Of the running average of the weights, or `None` for none.
      on_non_finite: See `FlowModel.compile`.
      max_skipped_in_a_row: See `FlowModel.compile`.

    Raises:
      ValueError: If one of them is not as described, or `batch_size` is not divisible
        by `accumulate`.
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
        for name in ("batch_size", "epochs", "accumulate", "max_skipped_in_a_row"):
            check_int(name, getattr(self, name))
        check_text("dataset", self.dataset)
        if not isinstance(self.flow, dict) or not all(
            isinstance(name, str) for name in self.flow
        ):
            raise ValueError(
                "flow: expected a dict of arguments of image_flow, got "
                f"{shortened(self.flow)}."
            )
        check_number(
            "learning_rate",
            self.learning_rate,
            least=0,
            expected="0 or more, and finite",
        )
        check_choice("schedule", self.schedule, SCHEDULES)
        check_int("warmup_steps", self.warmup_steps, least=0)
        check_seed("seed", self.seed, optional=False)
        if self.data_dir is not None:
            check_path("data_dir", self.data_dir)
        if self.image_size is not None:
            check_int("image_size", self.image_size)
        if self.images is not None:
            check_text("images", self.images)
        if self.minutes is not None:
            check_number(
                "minutes",
                self.minutes,
                least=sys.float_info.min,
                expected="a positive number",
            )
        check_flag("jit_compile", self.jit_compile)
        if self.average_decay is not None:
            check_decay(self.average_decay)
        check_choice("on_non_finite", self.on_non_finite, ON_NON_FINITE)
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
        """What `load_images` is told of the images."""
        return {name: getattr(self, name) for name in _OF_IMAGES}

    def load_data(self, data_dir: str | os.PathLike | None = None) -> ImageData:
        """Returns the run's images, the same as ever, with conditions if it has some.

        Args:
          data_dir: Where the data are now; `None` is where they were.

        Raises:
          FileNotFoundError: If the data are not there.
          ImportError: If they need a package that is not installed.
          ValueError: If there is no such data set, or its images or their conditions
            are not those that the run was trained on.
        """
        data = load_images(
            self.dataset,
            data_dir=data_dir or self.data_dir,
            conditional=self.is_conditional,
            **self.image_options,
        )
        found = data.fingerprint()
        if self.images not in (None, found):
            raise ValueError(
                f"dataset: expected the images that the run was trained on, "
                f"{self.images}; got {found}. Files were added, removed or changed "
                "since, so that test images may be others, or be trained on."
            )
        if self.is_conditional and data.condition_size != self.flow["condition_size"]:
            raise ValueError(
                f"condition_size: expected {data.condition_size}, the classes or "
                f"attributes in {data.name!r}; got {self.flow['condition_size']}."
            )
        return data

    @property
    def step_size(self) -> int:
        """Images in a step of training."""
        return self.batch_size // self.accumulate

    def build_model(self, strategy: tf.distribute.Strategy | None = None) -> FlowModel:
        """Returns the run's model with its initial weights, compiled.

        Args:
          strategy: The `tf.distribute` strategy to train it under, see `make_strategy`;
            `None` is a single device.

        Raises:
          ValueError: If the strategy cannot be had with these settings.
        """
        several = strategy is not None and strategy.cluster_resolver is not None
        if self.minutes is not None and several:
            raise ValueError(
                "minutes: expected None on several workers, whose clocks differ; got "
                f"{self.minutes}. Give a number of epochs."
            )
        keras.utils.set_random_seed(self.seed)
        with (strategy or tf.distribute.get_strategy()).scope():
            flow = image_flow(**self.flow, seed=self.seed)
            model = FlowModel(flow, seed=self.seed)
            self._compile(model)
        return model

    def _compile(self, model: FlowModel) -> None:
        parts = self.accumulate if self.accumulate > 1 else None
        model.compile(
            keras.optimizers.Adam(
                self.learning_rate,
                global_clipnorm=100.0,
                gradient_accumulation_steps=parts,
            ),
            jit_compile=self.jit_compile,
            average_decay=self.average_decay,
            on_non_finite=self.on_non_finite,
            max_skipped_in_a_row=self.max_skipped_in_a_row,
        )

    def check_goes_on_from(self, before: RunConfig) -> None:
        """Checks that a run made from `before` can be continued with this.

        There may be more epochs than there were to be.

        Raises:
          ValueError: Naming the first thing that differs.
        """
        differences = before.differences(self)
        if self.epochs > before.epochs:
            differences.pop("epochs")
        if differences:
            name, (began, got) = next(iter(differences.items()))
            raise ValueError(
                f"resume: expected {name} as the run began with, {began!r}; got "
                f"{got!r}."
            )

    def differences(self, other: RunConfig) -> dict[str, tuple[Any, Any]]:
        """Returns what differs in another run's configuration, by name.

        Where the data lie, and what is to happen when something goes wrong, is left
        out: the runs are the same.

        Args:
          other: Configuration of the other run.

        Returns:
          `dict` of pairs, what it is here and what it is there.
        """
        here, there = _flat(self), _flat(other)
        return {
            name: (here.get(name), there.get(name))
            for name in sorted({*here, *there} - _FREE)
            if here.get(name) != there.get(name)
        }


def _flat(config: RunConfig) -> dict[str, Any]:
    values = dataclasses.asdict(config)
    flow = values.pop("flow")
    values.update({f"flow.{name}": value for name, value in flow.items()})
    return {name: _listed(value) for name, value in values.items()}


def _listed(value: Any) -> Any:
    # JSON gives lists back for tuples.
    return list(value) if isinstance(value, tuple) else value
