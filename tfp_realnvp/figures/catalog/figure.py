"""What a figure is made from, and what it is."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from tensorflow_probability import distributions as tfd

from tfp_realnvp.data import ImageData
from tfp_realnvp.figures.latents import check_draws
from tfp_realnvp.figures.measures import psnr
from tfp_realnvp.flows.call_arguments import condition_size_of_flow


@dataclasses.dataclass(frozen=True)
class Subject:
    """A flow, its data, and the choices that its figures leave open.

    Attributes:
      flow: Transformed distribution from `image_flow`.
      data: Images of the kind it was trained on, with conditions if it takes them.
        Those of the test split are shown.
      count: Python `int`, number of samples, and of test images beside them.
      seed: Python `int`, of all that is random.
      temperature: Python `float`, factor on the latents of samples.
      factors: Python `int`s, how many times larger than the data samples are drawn.
      classifier_epochs: Python `int`, see `train_classifier`.

    Raises:
      ValueError: If one of them is out of range, or there are fewer than `count` test
        images.
    """

    flow: tfd.Distribution
    data: ImageData
    count: int = 64
    seed: int = 0
    temperature: float = 1.0
    factors: tuple[int, ...] = (2, 10)
    classifier_epochs: int = 4

    def __post_init__(self) -> None:
        there = self.data.test.count
        if not 1 <= self.count <= there:
            raise ValueError(
                f"count: expected 1 to {there}, the test images of {self.data.name!r}; "
                f"got {self.count}."
            )
        check_draws(self.seed, self.temperature)
        for factor in self.factors:
            if factor < 1:
                raise ValueError(f"factors: expected positive ints, got {factor}.")
        if self.classifier_epochs < 1:
            raise ValueError(
                "classifier_epochs: expected a positive int, got "
                f"{self.classifier_epochs}."
            )
        if condition_size_of_flow(self.flow) != self.data.condition_size:
            raise ValueError(
                "data: expected conditions of the flow's size, "
                f"{condition_size_of_flow(self.flow)}; got {self.data.condition_size}."
            )

    @property
    def is_by_class(self) -> bool:
        """Whether the flow takes labels of classes."""
        conditions = self.data.test.conditions
        return conditions is not None and conditions.ndim == 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes or attributes, if the flow takes some."""
        return self.data.condition_names or ()

    @property
    def classes(self) -> int:
        """Number of classes or attributes."""
        return len(self.names)

    def examples(self, count: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns the first test images and their conditions, if they have some."""
        return self.data.test.take(count), self.data.test.take_conditions(count)


@dataclasses.dataclass(frozen=True)
class Number:
    """A number beside a picture.

    Attributes:
      value: Python `float`, or `None` for infinity, which JSON does not know.
      unit: Python `str`.
      meaning: Python `str`.
      standard_error: Python `float`, of a mean over images; else `None`.
    """

    value: float | None
    unit: str
    meaning: str
    standard_error: float | None = None

    def __post_init__(self) -> None:
        if self.value is not None:
            object.__setattr__(self, "value", _finite(self.value))

    @classmethod
    def mean(cls, values: np.ndarray, unit: str, meaning: str) -> Number:
        """Returns the mean of what single images have, with its standard error."""
        values = np.asarray(values, np.float64)
        error = None
        if len(values) > 1:
            error = _finite(values.std(ddof=1) / math.sqrt(len(values)))
        return cls(values.mean(), unit, meaning, error)

    @classmethod
    def pooled_psnr(cls, before: np.ndarray, after: np.ndarray, meaning: str) -> Number:
        """Returns the ratio for all images together, which is infinite if all agree."""
        error = np.mean(10 ** (-psnr(before, after) / 10))
        with np.errstate(divide="ignore"):
            return cls(-10 * np.log10(error), "dB", meaning)

    def __str__(self) -> str:
        if self.value is None:
            return f"infinite {self.unit}"
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2g}"
        return f"{self.value:.4g}{error} {self.unit}"


@dataclasses.dataclass(frozen=True)
class Figure:
    """A picture, and what is to be said of it.

    Attributes:
      name: Python `str`, of the file, without its ending.
      picture: `uint8` array of shape [height, width, 1 or 3], or
        [frames, height, width, 1 or 3] for an animation.
      description: Python `str`.
      numbers: `Number`s by name.
    """

    name: str
    picture: np.ndarray
    description: str
    numbers: dict[str, Number]

    def as_json(self) -> dict[str, Any]:
        """Returns all but the picture."""
        return {
            "description": self.description,
            "numbers": {k: dataclasses.asdict(v) for k, v in self.numbers.items()},
        }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
