"""The update at the end of a training step, or its refusal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.nets.replicas import num_replicas
from tfp_realnvp.training.fused_optimizer import fused
from tfp_realnvp.training.run_if import run_if
from tfp_realnvp.training.weight_average import WeightAverage


def update_if(
    is_good: tf.Tensor,
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    norm: tf.Tensor,
    variables: Sequence[keras.Variable],
    average: WeightAverage | None,
) -> None:
    """Applies gradients if they are good, and does nothing otherwise.

    Args:
      is_good: Boolean scalar, the same on all replicas.
      optimizer: The optimizer; it must be built.
      gradients: `Tensor`s, already summed over all replicas.
      norm: Scalar, their global norm.
      variables: The variables they belong to.
      average: Running average to update, or `None`.
    """
    iterations = tf.identity(optimizer.iterations)
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync > 1:
        # Keras's optimizers clip what each replica gives them and then sum it, so
        # that N replicas would not clip as one does. Here the first gives it all.
        is_first = tf.equal(replica.replica_id_in_sync_group, 0)
        gradients = [tf.where(is_first, g, tf.zeros_like(g)) for g in gradients]

    def apply(*gradients: tf.Tensor) -> bool:
        optimizer.apply(gradients, variables)
        return True

    def apply_alone() -> bool:
        with fused(optimizer, norm):
            return apply(*gradients)

    def apply_on_all(strategy: tf.distribute.Strategy, *gradients: tf.Tensor) -> Any:
        with fused(optimizer, norm):
            applied = strategy.extended.call_for_each_replica(apply, args=gradients)
        return first_replica(strategy, applied)

    def apply_if_good(
        strategy: tf.distribute.Strategy, is_good: Any, *gradients: Any
    ) -> tf.Tensor:
        return tf.cond(
            first_replica(strategy, is_good),
            lambda: apply_on_all(strategy, *gradients),
            lambda: False,
        )

    if tf.__internal__.distribute.strategy_supports_no_merge_call():
        run_if(is_good, apply_alone)
    else:
        # Where replicas meet outside of the step, control flow must be there too.
        replica.merge_call(apply_if_good, args=(is_good, *gradients))
    if average is not None:
        average.update(is_due=optimizer.iterations > iterations)


def restore_unless(
    is_good: tf.Tensor,
    variables: Sequence[keras.Variable],
    values: Sequence[tf.Tensor],
) -> None:
    """Sets variables back to `values` if the step was not good."""

    def restore() -> bool:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return True

    if num_replicas() == 1:
        run_if(~is_good, restore)
    else:
        tf.cond(is_good, lambda: False, restore)


def first_replica(strategy: tf.distribute.Strategy, values: Any) -> Any:
    """Returns the first replica's part of what each replica has, leaf by leaf."""
    return tf.nest.map_structure(
        lambda value: strategy.experimental_local_results(value)[0], values
    )
