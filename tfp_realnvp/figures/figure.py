"""Figures, and the subjects that they are drawn from."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_int
from tfp_realnvp.data import ImageData
from tfp_realnvp.figures.latents import check_draws, image_bits_per_dim

# Images, and their conditions if there are any.
Images = tuple[np.ndarray, np.ndarray | None]
# By name: `value`, `unit`, `meaning` and `standard_error`.
Numbers = dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Subject:
    """A flow, its data, and the settings of its figures.

    Attributes:
      flow: Transformed distribution from `image_flow`.
      data: Images of the kind it was trained on, with conditions if it takes them.
        Figures show those of the test split.
      count: Python `int`, number of samples, and of test images beside them.
      seed: Python `int`, of all that is random.
      temperature: Python `float`, factor on the latents of samples.
      factors: Python `int`s, how many times larger extrapolated samples are.
      classifier_epochs: Python `int`, epochs of the classifier of changed attributes.

    Raises:
      ValueError: If a number is out of range.
    """

    flow: tfd.Distribution
    data: ImageData
    count: int = 64
    seed: int = 0
    temperature: float = 1.0
    factors: tuple[int, ...] = (2, 10)
    classifier_epochs: int = 4

    def __post_init__(self) -> None:
        which = f", the number of test images in {self.data.name!r}"
        check_int("count", self.count, most=self.data.test.count, unit=which)
        check_draws(self.seed, self.temperature)

    @property
    def is_by_class(self) -> bool:
        """Whether the flow takes labels of classes."""
        conditions = self.data.test.conditions
        return conditions is not None and conditions.ndim == 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes or attributes, if the flow takes any."""
        return self.data.condition_names or ()

    @property
    def draws(self) -> dict[str, Any]:
        """The arguments for functions that draw samples."""
        return {"seed": self.seed, "temperature": self.temperature}

    def examples(self, count: int) -> Images:
        """Returns the first `count` test images with their conditions."""
        return self.data.test.take(count), self.data.test.take_conditions(count)

    def numbers(
        self, given: Images, made: Images, *, again: np.ndarray | None = None
    ) -> Numbers:
        """Returns bits/dim of test images and of images made, and the largest error."""
        numbers = {}
        for name, (images, condition), meaning in (
            ("data_bits_per_dim", given, "of the test images"),
            ("bits_per_dim", made, "of the images that the flow made"),
        ):
            costs = image_bits_per_dim(
                self.flow, images, condition=condition, seed=self.seed
            )
            # More images than were given are mixtures of these and not independent:
            # their mean has no standard error.
            costs = costs.mean() if len(costs) > len(given[0]) else costs
            numbers[name] = number(costs, "bits/dim", meaning)
        if again is not None:
            error = np.abs(given[0].astype(int) - again).max()
            numbers["reconstruction_error"] = number(
                error, "grey levels", "largest, of test images encoded and decoded"
            )
        return numbers


@dataclasses.dataclass(frozen=True)
class Figure:
    """A picture with its description and numbers.

    Attributes:
      name: Python `str`, of the file, without its suffix.
      picture: `uint8` array of shape [height, width, 1 or 3], or
        [frames, height, width, 1 or 3] for an animation.
      description: Python `str`.
      numbers: By name a `dict` of `value` (`None` for infinity, which JSON lacks),
        `unit`, `meaning`, and `standard_error` of a mean over images.
    """

    name: str
    picture: np.ndarray
    description: str
    numbers: Numbers


def number(values: Any, unit: str, meaning: str) -> dict[str, Any]:
    """Returns a number of a figure: a single value, or the mean of several."""
    error = None
    if np.size(values) > 1:
        error = _finite(np.std(values, ddof=1) / math.sqrt(np.size(values)))
    value = _finite(np.mean(values))
    return {"value": value, "unit": unit, "meaning": meaning, "standard_error": error}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
