"""The update at the end of a training step, or its refusal."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from tfp_realnvp.nets.parts import num_replicas
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


def run_if(condition: tf.Tensor, run: Callable[[], bool]) -> None:
    """Runs `run` if `condition` holds, as `tf.cond`, but as one operation of a graph.

    TensorFlow takes `tf.cond` apart, with two more operations for each tensor from
    outside, of which an optimizer's step has four for each variable: for the `cifar10`
    preset that was a third of the graph.

    Args:
      condition: Boolean scalar.
      run: Function without arguments that returns `True`.
    """
    graph = tf.compat.v1.get_default_graph()
    if tf.executing_eagerly() or control_flow_util.GraphOrParentsInXlaContext(graph):
        tf.cond(condition, run, lambda: False)
        return
    then = tf.function(run, autograph=False).get_concrete_function()
    inputs = then.captured_inputs
    otherwise = tf.function(lambda *inputs: False, autograph=False)
    tf.raw_ops.If(
        cond=condition,
        input=inputs,
        Tout=[tf.bool],
        then_branch=then,
        else_branch=otherwise.get_concrete_function(*inputs),
    )


@contextlib.contextmanager
def fused(optimizer: keras.optimizers.Optimizer, norm: tf.Tensor) -> Iterator[None]:
    """Lets an optimizer clip and, if it is Adam, update in one kernel per variable.

    ```none
    m        <- m + (1 - beta_1) (gradient - m)
    v        <- v + (1 - beta_2) (gradient^2 - v)
    variable <- variable - learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t)
                           * m / (sqrt(v) + epsilon)
    ```

    What the optimizer does besides (weight decay, schedules, averages, accumulation)
    and where it keeps its state stay as they are. So does the step of any other
    optimizer, and of Adam with `amsgrad`. Keras needs 25 operations for each variable:
    for the `cifar10` preset that was half of the time to the first step.

    Args:
      optimizer: The optimizer; it must be built.
      norm: Scalar, the global norm of the gradients that are to be applied.
    """
    step = getattr(type(optimizer), "update_step", None)
    overrides: dict[str, Callable[..., Any]] = {}
    if step is keras.optimizers.Adam.update_step and not optimizer.amsgrad:
        update_step = overrides["update_step"] = _adam_step(optimizer)
        if not tf.distribute.has_strategy():
            # Keras goes through a strategy all the same, for each variable anew.
            overrides["_backend_update_step"] = lambda gradients, variables, rate: [
                update_step(gradient, variable.value, rate)
                for gradient, variable in zip(gradients, variables, strict=True)
            ]
    if _only_clips_globally(optimizer):
        most = optimizer.global_clipnorm
        factor = most / tf.maximum(norm, most)
        overrides["_clip_gradients"] = lambda gradients: [
            gradient * tf.cast(factor, gradient.dtype) for gradient in gradients
        ]
    try:
        for name, override in overrides.items():
            setattr(optimizer, name, override)
        yield
    finally:
        for name in overrides:
            delattr(optimizer, name)


def _adam_step(
    optimizer: keras.optimizers.Adam,
) -> Callable[[tf.Tensor, tf.Variable, tf.Tensor], None]:
    t = tf.convert_to_tensor(optimizer.iterations) + 1

    @functools.cache
    def numbers(dtype: tf.DType) -> dict[str, tf.Tensor]:
        betas = [tf.constant(b, dtype) for b in (optimizer.beta_1, optimizer.beta_2)]
        return {
            "beta1": betas[0],
            "beta2": betas[1],
            "beta1_power": tf.pow(betas[0], tf.cast(t, dtype)),
            "beta2_power": tf.pow(betas[1], tf.cast(t, dtype)),
            "epsilon": tf.constant(optimizer.epsilon, dtype),
        }

    for variable in optimizer._trainable_variables:
        numbers(tf.as_dtype(variable.dtype))

    def update_step(
        gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        index = optimizer._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=optimizer._momentums[index].value.handle,
            v=optimizer._velocities[index].value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
            **numbers(variable.dtype),
        )

    return update_step


def _only_clips_globally(optimizer: keras.optimizers.Optimizer) -> bool:
    # What is accumulated has another norm than the gradients at hand.
    return bool(
        optimizer.global_clipnorm
        and not optimizer.clipnorm
        and not optimizer.gradient_accumulation_steps
        and not optimizer.loss_scale_factor
    )
