"""A distribution as a Keras model."""

from __future__ import annotations

import math
import os
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import (
    check_flag,
    check_path,
    check_seed,
    check_text,
    shortened,
)
from tfp_realnvp.files import atomic_path
from tfp_realnvp.flows.call_arguments import condition_size_of_flow, pixel_logit_of
from tfp_realnvp.flows.config import from_config, to_config
from tfp_realnvp.flows.units import bits_per_dim
from tfp_realnvp.training.checks import refuse
from tfp_realnvp.training.flow_weights import (
    check_reached,
    check_strategy,
    keras_layers,
    other_variables,
)
from tfp_realnvp.training.log_prob_parts import log_prob_parts, real_pixels


class DistributionModel(keras.Model):
    """Computes log-densities of examples, and goes into files.

    To integer images it adds uniform noise in [0, 1), see `FlowModel`, which trains it.

    Args:
      flow: `tfd.Distribution` with a static event shape.
      seed: Python `int` or `None`, seeds the noise added to integer images.
      name: Python `str`.

    Raises:
      TypeError: If `flow` is no `tfd.Distribution`.
      ValueError: If it holds conditional or batch-normalized flows where it does not
        pass `condition` and `training` on, as in a mixture.
    """

    def __init__(self, flow: tfd.Distribution, *, seed: int | None = None, name: str):
        if not isinstance(flow, tfd.Distribution):
            raise TypeError(
                f"flow: expected a tfd.Distribution, got {type(flow).__name__}."
            )
        if not isinstance(flow.dtype, tf.DType) or flow.event_shape.rank is None:
            raise ValueError(
                "flow: expected events that are single tensors of a known shape, got "
                f"{flow.event_shape}."
            )
        check_seed("seed", seed)
        check_text("name", name)
        check_reached(flow)
        check_strategy(flow)
        super().__init__(name=name, dtype=tf.as_dtype(flow.dtype).name)
        self.flow = flow
        self.seed = seed
        # Keras does not see into distributions, so the model holds what they hold.
        self._flow_layers = keras_layers(flow)
        self._flow_variables = other_variables(flow)
        self.condition_size = condition_size_of_flow(flow)
        self.is_over_pixels = pixel_logit_of(flow) is not None
        self._training_noise = keras.random.SeedGenerator(seed, name="training_noise")
        self._evaluation_seed = 0 if seed is None else seed
        self._evaluation_noise = keras.random.SeedGenerator(
            self._evaluation_seed, name="evaluation_noise"
        )
        self._likelihood = keras.metrics.Mean(
            "bits_per_dim" if self.is_over_pixels else "nll"
        )
        self.built = True

    def inputs_of(self, data: Any) -> Any:
        """Returns what `call` takes, from a batch as Keras hands it on.

        Raises:
          ValueError: If there are sample weights.
        """
        x, condition, weight = keras.utils.unpack_x_y_sample_weight(data)
        refuse({"sample_weight": weight}, ("sample_weight",))
        return x if condition is None else {"x": x, "condition": condition}

    def call(self, x: Any, condition: Any = None, training: bool = False) -> tf.Tensor:
        """Returns `log_prob(x | condition)` in nats, of shape [batch].

        Instead of two arguments, `x` may be a `dict` with the keys x and condition.
        """
        return self.log_prob_parts(x, condition, training=training)[0]

    def log_prob_parts(
        self, x: Any, condition: Any = None, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns `log_prob(x | condition)`, and the base's part of it.

        Arguments as for `call`.

        Returns:
          Two `Tensor`s of shape [batch], in nats. The second is the log-density of
          the latents under the base, so that the difference is the log-determinant;
          `None` if the model's distribution is not a transformed one.

        Raises:
          ValueError: If there is a condition and the flow takes none.
        """
        if isinstance(x, dict):
            x, condition = x["x"], x["condition"]
        if condition is not None and self.condition_size is None:
            raise ValueError(
                "condition: expected None, for the flow was made without "
                "condition_size and is trained on x alone; got one."
            )
        if not self.is_over_pixels:
            return log_prob_parts(self.flow, x, condition, training=training)
        noise = self._training_noise if training else self._evaluation_noise
        x, is_bad = real_pixels(x, self.flow.dtype, noise, training=training)
        log_prob, prior = log_prob_parts(self.flow, x, condition, training=training)
        return tf.where(is_bad, tf.constant(math.nan, log_prob.dtype), log_prob), prior

    def to_units(self, log_prob: tf.Tensor) -> tf.Tensor:
        """Returns the negative of a log-density, in bits/dim over pixels or nats."""
        if self.is_over_pixels:
            return bits_per_dim(log_prob, self.flow.event_shape)
        return -log_prob

    @property
    def noise_states(self) -> list[keras.Variable]:
        """Where the streams of noise for training and for evaluation are."""
        return [self._training_noise.state, self._evaluation_noise.state]

    @property
    def non_trainable_state(self) -> list[keras.Variable]:
        """What a pass in training changes: moving averages, the state of the noise."""
        return [*self.non_trainable_variables, self._training_noise.state]

    def save(
        self, filepath: str | os.PathLike, overwrite: bool = True, **kwargs: Any
    ) -> None:
        """Saves, as `keras.Model.save`; what is there stays until all is written.

        Raises:
          FileExistsError: If the file is there and `overwrite` is `False`.
          ValueError: If `filepath` does not end as Keras's files of models do.
        """
        check_path("filepath", filepath)
        check_flag("overwrite", overwrite)
        if not os.fspath(filepath).endswith((".keras", ".h5", ".hdf5")):
            raise ValueError(
                "filepath: expected a path that ends in .keras, for save_weights in "
                f".weights.h5; got {os.fspath(filepath)!r}."
            )
        if not overwrite and os.path.exists(filepath):
            raise FileExistsError(
                f"filepath: expected a new file with overwrite=False, got {filepath}."
            )
        with atomic_path(filepath) as temporary:
            super().save(temporary, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {"flow": to_config(self.flow), "seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DistributionModel:
        if not isinstance(config, dict) or "flow" not in config:
            raise ValueError(
                f"config: expected what get_config returns, got {shortened(config)}."
            )
        flow = from_config(config["flow"])
        if not isinstance(flow, tfd.Distribution):
            raise ValueError(
                "flow: expected a configuration of a distribution, got "
                f"{shortened(flow)}."
            )
        return cls(**{**config, "flow": flow})

    def rewind_evaluation_noise(self) -> None:
        """Lets the next evaluation have the noise of the first."""
        start = keras.random.SeedGenerator(self._evaluation_seed)
        self._evaluation_noise.state.assign(start.state)
