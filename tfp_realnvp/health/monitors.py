"""What the loss does not show: whether a flow inverts, and by which statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.flows.call_arguments import check_transformed, distribution_kwargs
from tfp_realnvp.training.dequantization import dequantized
from tfp_realnvp.training.flow_model import FlowModel
from tfp_realnvp.training.parts import unchanged


class RoundTrip:
    """The way of events to the latents and back, compiled once.

    Args:
      flow: `tfd.TransformedDistribution`; only its own bijector counts, not one of its
        base.

    Raises:
      TypeError: If `flow` has no bijector.
    """

    def __init__(self, flow: tfd.Distribution):
        check_transformed(flow)
        self._flow = flow
        self._run = tf.function(self._there_and_back, autograph=False)

    def reconstruct(self, x: Any, condition: Any = None) -> tf.Tensor:
        """Returns `forward(inverse(x))`, arguments as for `error`."""
        return self._run(tf.cast(x, self._flow.dtype), condition)

    def error(self, x: Any, condition: Any = None) -> float:
        """Returns the largest `|forward(inverse(x)) - x|`, by running statistics.

        Args:
          x: Real-valued events of shape [N, *event_shape], over pixels in [0, 256).
          condition: Their labels or vectors, if the flow takes a condition.

        Returns:
          Python `float` in the units of `x`; NaN if any entry comes back as NaN.
        """
        x = tf.cast(x, self._flow.dtype)
        return float(np.max(np.abs(self.reconstruct(x, condition) - x)))

    def _there_and_back(self, x: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        kwargs = distribution_kwargs(self._flow, training=False, condition=condition)
        kwargs = kwargs.get("bijector_kwargs", {})
        latents = self._flow.bijector.inverse(x, **kwargs)
        # The bijector's cache would know where the very same tensor came from.
        return self._flow.bijector.forward(tf.identity(latents), **kwargs)


class StatisticsGap:
    """Scores of examples by either kind of statistics, compiled once.

    A gap between the two means that the moving averages do not describe the data under
    the present weights. Without batch normalization there is none.

    Args:
      model: `FlowModel`; it is left as it was.
    """

    def __init__(self, model: FlowModel):
        self._model = model
        self._run = tf.function(self._in_units, autograph=False)

    def scores(
        self, x: Any, condition: Any = None, *, seed: Sequence[int] = (0, 0)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the negative log-likelihood of each example, in the model's units.

        Args:
          x: Events of shape [N, *event_shape], which are one batch. Integer images get
            the same noise for both.
          condition: Their labels or vectors, if the flow takes a condition.
          seed: Two Python `int`s, seed of the noise added to integer images.

        Returns:
          Two arrays of shape [N]: by running and by batch statistics.
        """
        model = self._model
        x = tf.convert_to_tensor(x)
        needs_noise = model.is_over_pixels and not x.dtype.is_floating
        x = tf.cast(x, model.flow.dtype)
        if needs_noise:
            x = dequantized(x, tf.constant(seed))
        with unchanged(model.non_trainable_state):
            running, batch = (
                self._run(x, condition, training=training) for training in (False, True)
            )
            return running.numpy(), batch.numpy()

    def _in_units(
        self, x: tf.Tensor, condition: tf.Tensor | None, *, training: bool
    ) -> tf.Tensor:
        log_prob, _ = self._model.log_prob_parts(x, condition, training=training)
        return self._model.to_units(log_prob)
