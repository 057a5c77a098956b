"""One step of training or evaluation, on all replicas.

Sums over all replicas make loss, gradients and metrics those of the global batch,
however unevenly it is split.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfp_realnvp.nets.parts import global_batch, num_replicas, sum_over_replicas
from tfp_realnvp.training.flow_layer import FlowLayer
from tfp_realnvp.training.functions import prediction_function, step_function
from tfp_realnvp.training.inputs import (
    Batch,
    checked_weights,
    unpack,
    warn_of_made_over_pixels,
)
from tfp_realnvp.training.non_finite import NonFinitePolicy
from tfp_realnvp.training.update import WeightAverage, restore_unless, update_if


class Terms(NamedTuple):
    """The results for a global batch; all but `share` are equal on all replicas.

    `loss`, the sum of the replicas' shares, is `likelihood` (a mean, in the model's
    units) plus the layers' penalties. `weight` is the sum of the examples' weights; if
    it is 0 there is nothing to learn from.
    """

    share: tf.Tensor
    loss: tf.Tensor
    likelihood: tf.Tensor
    weight: tf.Tensor
    prior_and_log_det: dict[str, tf.Tensor]


def likelihood_terms(layer: FlowLayer, batch: Batch, *, training: bool) -> Terms:
    """Returns loss and likelihood of the global batch, given this replica's part."""
    log_prob, prior = layer.log_prob_parts(batch.x, batch.condition, training=training)
    if batch.sample_weight is None:
        sum_weighted = tf.reduce_sum
        weight = tf.cast(global_batch(tf.size(log_prob)).size, log_prob.dtype)
    else:
        weights = checked_weights(tf.cast(batch.sample_weight, log_prob.dtype))
        weights = tf.reshape(weights, tf.shape(log_prob))
        weight = sum_over_replicas(tf.reduce_sum(weights))

        def sum_weighted(values: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(tf.math.multiply_no_nan(values, weights))

    scale = tf.math.divide_no_nan(tf.ones([], log_prob.dtype), weight)
    likelihood = scale * sum_weighted(layer.to_units(log_prob))
    share = likelihood + sum(layer.losses) / num_replicas()
    priors = [] if prior is None else [scale * sum_weighted(layer.to_units(prior))]
    loss, likelihood, *priors = sum_over_replicas([share, likelihood, *priors])
    parts = {}
    if priors:
        parts = {"prior": priors[0], "log_det": likelihood - priors[0]}
    return Terms(share, loss, likelihood, weight, parts)


class MeanLikelihood(keras.metrics.Mean):
    """A mean that tells Keras's callbacks that lower is better."""

    def __init__(self, name: str):
        super().__init__(name, dtype="float32")
        self._direction = "down"

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: Any = None
    ) -> None:
        super().update_state(y_pred, sample_weight=sample_weight)


class StepModel(FlowLayer, keras.Model):
    """The steps of `fit`, `evaluate` and `predict` of `FlowModel`.

    Attributes:
      step: Python `int`, number of training steps so far.
      last_report: The report of the last training step, see `train_step`.
      average: The moving average of the weights if `compile` got `average_decay`.
    """

    # Attributes of `keras.Model`, whose types are unknown.
    train_function: Any
    test_function: Any
    predict_function: Any
    _policy: NonFinitePolicy

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.average: WeightAverage | None = None
        self._is_new_data = False
        self.step = 0
        self.last_report: dict[str, tf.Tensor] = {}

    def train_step(self, data: Any) -> dict[str, Any]:
        """Trains on this replica's part of a batch, together with the other replicas.

        Returns the metrics and "report", about this batch: is_finite, gradient_norm
        and, for transformed distributions, prior and log_det in the model's units.
        """
        state = self.non_trainable_state
        before = [tf.identity(variable.value) for variable in state]
        with tf.GradientTape() as tape:
            terms = likelihood_terms(self, unpack(data), training=True)
            share = self.optimizer.scale_loss(terms.share)
        variables = self.trainable_variables
        pairs = zip(tape.gradient(share, variables), variables, strict=True)
        found = [(g, v) for g, v in pairs if g is not None]
        gradients, reached = [g for g, _ in found], [v for _, v in found]
        norm = tf.zeros([])
        if reached:
            gradients = sum_over_replicas(gradients)
            norm = tf.linalg.global_norm(gradients)
        is_finite = tf.math.is_finite(terms.loss) & tf.math.is_finite(norm)
        is_good = is_finite & (terms.weight > 0)
        update_if(is_good, self.optimizer, gradients, norm, reached, self.average)
        restore_unless(is_good, state, before)
        norm /= self.optimizer.loss_scale_factor or 1.0
        report = {"is_finite": is_finite, "gradient_norm": norm}
        report |= terms.prior_and_log_det
        return {**self._metrics_after(terms, is_good), "report": report}

    def test_step(self, data: Any) -> dict[str, Any]:
        """Returns the model's metrics after a batch."""
        terms = likelihood_terms(self, unpack(data), training=False)
        return self._metrics_after(terms, terms.weight > 0)

    def predict_step(self, data: Any) -> tf.Tensor:
        x, condition, _ = unpack(data)
        return self.log_prob_parts(x, condition)[0]

    def make_train_function(self, force: bool = False) -> Any:
        if self.train_function is None or force:
            after = self._after_training_step
            self.train_function = step_function(self, after, training=True)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        if self.test_function is None or force:
            self.test_function = step_function(self, self._look_at_first)
        return self.test_function

    def make_predict_function(self, force: bool = False) -> Any:
        if self.predict_function is None or force:
            self.predict_function = prediction_function(self, self._look_at_first)
        return self.predict_function

    def _compile(
        self,
        optimizer: Any,
        jit_compile: bool,
        policy: NonFinitePolicy,
        average_decay: float | None,
        kwargs: dict[str, Any],
    ) -> None:
        def use_metrics(value: tf.Tensor) -> None:
            self.metrics[0].update_state(value)
            self.compute_metrics(None, value, value, value)

        floatx = keras.config.floatx()
        with self.distribute_strategy.scope():
            optimizer = optimizer or keras.optimizers.Adam(global_clipnorm=100.0)
            if floatx in ("float16", "bfloat16"):
                # In `floatx`, Keras would round its mean of the loss at every step.
                keras.config.set_floatx("float32")
            try:
                name = "bits_per_dim" if self.is_over_pixels else "nll"
                keras.Model.compile(
                    self,
                    optimizer,
                    jit_compile=jit_compile,
                    weighted_metrics=[MeanLikelihood(name)],
                    **kwargs,
                )
            finally:
                keras.config.set_floatx(floatx)
            # Keras's list of metrics is complete only after their first use.
            self.distribute_strategy.run(use_metrics, args=(tf.ones([]),))
            self.reset_metrics()
            self.optimizer.build(self.trainable_variables)
            self._policy, self.average = policy, None
            if average_decay is not None:
                self.average = WeightAverage(self.weights, average_decay)

    def _maybe_symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        # Everything is built from the start. Keras would average the first batch over
        # the replicas, which fails on several workers or if their parts differ in size.
        pass

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        """Returns the metrics by name, NaN if no batch has counted."""
        has_seen = tf.convert_to_tensor(self.metrics[0].count) > 0
        return {
            name: value / tf.cast(has_seen, value.dtype)
            for name, value in super().get_metrics_result().items()
        }

    def _after_training_step(self, batch: Any, logs: dict[str, Any]) -> dict[str, Any]:
        self._look_at_first(batch)
        self.last_report = logs.pop("report")
        self._policy.after_step(bool(self.last_report["is_finite"]), self, batch)
        self.step += 1
        return logs

    def _look_at_first(self, batch: Any, logs: Any = None) -> Any:
        if self._is_new_data and self.is_over_pixels:
            local_results = self.distribute_strategy.experimental_local_results
            warn_of_made_over_pixels(local_results(unpack(batch).x)[0])
        self._is_new_data = False
        return logs

    def _metrics_after(self, terms: Terms, counts: tf.Tensor) -> dict[str, Any]:
        # Each replica counts for an equal share of the global batch, so the replicas'
        # metrics agree and their sum is correct.
        weight = tf.cast(terms.weight, tf.float32) / num_replicas()
        weight, loss, likelihood = (
            tf.where(counts, value, tf.zeros([], value.dtype))
            for value in (weight, terms.loss, terms.likelihood)
        )
        self.metrics[0].update_state(loss, sample_weight=weight)
        return self.compute_metrics(None, likelihood, likelihood, weight)
