"""Keras's optimizers, with single kernels where Keras makes many operations."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf


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
