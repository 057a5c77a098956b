"""One step of training or evaluation: what each replica does with its examples.

Sums over all replicas make loss, gradients and metrics those of the global batch,
however unevenly it is spread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfp_realnvp.nets.replicas import global_batch, num_replicas, sum_over_replicas
from tfp_realnvp.training.update import restore_unless, update_if

if TYPE_CHECKING:
    from tfp_realnvp.training.flow_model import FlowModel


def training_step(model: FlowModel, data: Any) -> dict[str, Any]:
    """Trains a `FlowModel` on a batch, unless loss or gradient are not finite.

    Returns:
      `dict` of the model's metrics, and under `"report"` what is known of this batch:
      is_finite, the gradient's norm and, in the model's units, prior and log_det.
    """
    inputs = model.inputs_of(data)
    state = model.non_trainable_state
    before = [tf.identity(variable.value) for variable in state]
    with tf.GradientTape() as tape:
        terms, share = _loss(model, inputs, training=True)
    variables = model.trainable_variables
    gradients = tape.gradient(share, variables)
    reached = [
        (g, v) for g, v in zip(gradients, variables, strict=True) if g is not None
    ]
    gradients = [gradient for gradient, _ in reached]
    variables = [variable for _, variable in reached]
    norm = tf.zeros([])
    if reached:
        gradients = sum_over_replicas(gradients)
        norm = tf.linalg.global_norm(gradients)
    is_finite = tf.math.is_finite(terms["loss"]) & tf.math.is_finite(norm)
    update_if(is_finite, model.optimizer, gradients, norm, variables, model.average)
    restore_unless(is_finite, state, before)
    report = {"is_finite": is_finite, "gradient_norm": norm}
    report.update({name: terms[name] for name in ("prior", "log_det") if name in terms})
    return {**_metrics(model, terms, is_finite), "report": report}


def evaluation_step(model: FlowModel, data: Any) -> dict[str, Any]:
    """Returns a `FlowModel`'s metrics after a batch."""
    terms, _ = _loss(model, model.inputs_of(data), training=False)
    return _metrics(model, terms, tf.constant(True))


def _loss(
    model: FlowModel, inputs: Any, *, training: bool
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Returns what is known of the global batch, and this replica's share of the loss.

    The loss is the sum of the shares, and its gradient the sum of theirs.
    """
    log_prob, prior = model.log_prob_parts(inputs, training=training)
    size = global_batch(tf.size(log_prob)).size
    weight = 1 / tf.cast(size, log_prob.dtype)
    likelihood = weight * tf.reduce_sum(model.to_units(log_prob))
    share = likelihood + sum(model.losses) / num_replicas()
    sums = {"loss": share, "likelihood": likelihood}
    if prior is not None:
        sums["prior"] = weight * tf.reduce_sum(model.to_units(prior))
    values = sum_over_replicas(list(sums.values()))
    terms = dict(zip(sums, values, strict=True), size=size)
    if prior is not None:
        terms["log_det"] = terms["likelihood"] - terms["prior"]
    return terms, share


def _metrics(
    model: FlowModel, terms: dict[str, tf.Tensor], counts: tf.Tensor
) -> dict[str, Any]:
    # Each replica counts an equal share of the global batch, so that the replicas'
    # metrics agree and their sum is right.
    weight = tf.cast(terms["size"], tf.float32) / num_replicas()
    weight = tf.where(counts, weight, 0.0)
    values = [
        tf.where(counts, terms[name], tf.zeros([], terms[name].dtype))
        for name in ("loss", "likelihood")
    ]
    for metric, value in zip(model.metrics, values, strict=True):
        metric.update_state(value, sample_weight=weight)
    return model.get_metrics_result()
