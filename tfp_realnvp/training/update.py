"""The update at the end of a training step, or its refusal, and averaged weights."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.arguments import check_number


def check_optimizer(
    optimizer: Any, strategy: tf.distribute.Strategy, jit_compile: bool
) -> None:
    """Raises `ValueError` for settings that would fail late or silently."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "optimizer: expected one without loss scaling, as FlowModel treats "
            "non-finite steps as failures; got LossScaleOptimizer. bfloat16 needs no "
            "loss scaling: make the flow with network_dtype='mixed_bfloat16'."
        )
    replicas = strategy.num_replicas_in_sync
    if jit_compile and replicas > 1:
        raise ValueError(
            f"jit_compile: expected False with {replicas} replicas, as XLA cannot "
            "compile the communication between replicas; got True."
        )
    with strategy.scope():
        is_distributed = tf.distribute.has_strategy()
    if is_distributed and getattr(optimizer, "gradient_accumulation_steps", None):
        raise ValueError(
            "optimizer: expected one without gradient_accumulation_steps under a "
            f"{type(strategy).__name__}, where Keras cannot accumulate gradients. Use "
            "more replicas or smaller batches instead."
        )


def update_if(
    is_good: tf.Tensor,
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    norm: tf.Tensor,
    variables: Sequence[keras.Variable],
    average: WeightAverage | None,
) -> None:
    """Applies gradients, already summed over all replicas, if `is_good`.

    `is_good` is equal on all replicas; `norm` is the gradients' global norm.
    """
    iterations = tf.identity(optimizer.iterations)
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync > 1:
        # Keras's optimizers clip each replica's gradients before they sum them, so N
        # replicas would clip differently from one. Here the first passes the whole sum.
        is_first = tf.equal(replica.replica_id_in_sync_group, 0)
        gradients = [tf.where(is_first, g, tf.zeros_like(g)) for g in gradients]

    def apply(*gradients: tf.Tensor) -> bool:
        optimizer.apply(gradients, variables)
        return True

    def apply_here(is_good: tf.Tensor | None = None) -> bool:
        with fused(optimizer, norm, is_good):
            return apply(*gradients)

    def apply_if_good(
        strategy: tf.distribute.Strategy, is_good: Any, *gradients: Any
    ) -> tf.Tensor:
        def apply_on_all() -> Any:
            with fused(optimizer, norm):
                done = strategy.extended.call_for_each_replica(apply, args=gradients)
            return first_replica(strategy, done)

        return tf.cond(first_replica(strategy, is_good), apply_on_all, lambda: False)

    if tf.__internal__.distribute.strategy_supports_no_merge_call():
        if _is_plain_adam(optimizer, variables):
            # `tf.cond` would capture each gradient, variable and moment in either
            # branch: a quarter of the graph of the `cifar10` preset.
            with tf.control_dependencies([is_good]):
                apply_here(is_good)
            done = tf.cast(is_good, iterations.dtype)
            optimizer.iterations.assign(iterations + done)
        else:
            tf.cond(is_good, apply_here, lambda: False)
    else:
        # If replicas are merged outside of the step, so must be control flow.
        replica.merge_call(apply_if_good, args=(is_good, *gradients))
    if average is not None:
        average.update(is_due=optimizer.iterations > iterations)


def restore_unless(
    is_good: tf.Tensor, variables: Sequence[keras.Variable], values: Sequence[tf.Tensor]
) -> None:
    """Sets variables back to `values` if the step was not good."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(tf.where(is_good, variable.value, value))


def first_replica(strategy: tf.distribute.Strategy, values: Any) -> Any:
    """Returns the first replica's part of values that each replica has."""
    return tf.nest.map_structure(
        lambda value: strategy.experimental_local_results(value)[0], values
    )


def _is_plain_adam(
    optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]
) -> bool:
    """Returns whether an update is the kernel of `fused` and nothing else."""
    more = ("clipnorm", "clipvalue", "weight_decay", "use_ema", "loss_scale_factor")
    # A subclass may do anything else besides.
    return (
        type(optimizer) is keras.optimizers.Adam
        and not (optimizer.amsgrad or optimizer.gradient_accumulation_steps)
        and not any(getattr(optimizer, name) for name in more)
        and all(variable.constraint is None for variable in variables)
    )


def _has_adam_steps(optimizer: keras.optimizers.Optimizer) -> bool:
    step = getattr(type(optimizer), "update_step", None)
    return step is keras.optimizers.Adam.update_step and not optimizer.amsgrad


@contextlib.contextmanager
def fused(
    optimizer: keras.optimizers.Optimizer,
    norm: tf.Tensor,
    is_good: tf.Tensor | None = None,
) -> Iterator[None]:
    """Makes an optimizer clip by `norm` and, if it is Adam, update by fused kernels.

    Everything else stays as it is: Adam's state, other optimizers, and `amsgrad`. Keras
    needs 25 operations per variable, for the `cifar10` preset half of the time to the
    first step. Given `is_good`, which only plain Adam can be, a step that is not good
    moves neither variables nor moments.
    """
    overrides: dict[str, Callable[..., Any]] = {}
    if _has_adam_steps(optimizer):
        update_step = overrides["update_step"] = _adam_step(optimizer, is_good)
        if not tf.distribute.has_strategy():
            # Even so, Keras goes through a strategy for each variable, and TensorFlow
            # keeps alive what is passed to it.
            def update_all(
                gradients: Any, variables: Sequence[keras.Variable], rate: Any
            ) -> None:
                rate = tf.convert_to_tensor(rate)
                for gradient, variable in zip(gradients, variables, strict=True):
                    update_step(gradient, variable.value, rate)

            overrides["_backend_update_step"] = update_all
    factor = None
    # Accumulated or scaled gradients have a norm other than `norm`.
    is_other = optimizer.gradient_accumulation_steps or optimizer.loss_scale_factor
    if optimizer.global_clipnorm and not (optimizer.clipnorm or is_other):
        factor = optimizer.global_clipnorm / tf.maximum(norm, optimizer.global_clipnorm)
    if is_good is not None:
        factor = tf.where(is_good, 1.0 if factor is None else factor, 0.0)
    if factor is not None:
        # NaN times 0 is 0 here.
        overrides["_clip_gradients"] = lambda gradients: [
            tf.math.multiply_no_nan(gradient, tf.cast(factor, gradient.dtype))
            for gradient in gradients
        ]
    try:
        for name, override in overrides.items():
            setattr(optimizer, name, override)
        yield
    finally:
        for name in overrides:
            delattr(optimizer, name)


def _adam_step(
    optimizer: keras.optimizers.Adam, is_good: tf.Tensor | None
) -> Callable[..., None]:
    t = tf.convert_to_tensor(optimizer.iterations) + 1
    numbers = {}
    for dtype in {tf.as_dtype(v.dtype) for v in optimizer._trainable_variables}:
        beta1 = tf.constant(optimizer.beta_1, dtype)
        beta2 = tf.constant(optimizer.beta_2, dtype)
        powers = [tf.pow(beta, tf.cast(t, dtype)) for beta in (beta1, beta2)]
        moving = {"beta1": beta1, "beta2": beta2, "beta2_power": powers[1]}
        if is_good is not None:
            # The kernel multiplies the rate by sqrt(1 - beta2_power).
            moving = {k: tf.where(is_good, v, 1.0) for k, v in moving.items()}
        epsilon = tf.constant(optimizer.epsilon, dtype)
        numbers[dtype] = {**moving, "beta1_power": powers[0], "epsilon": epsilon}

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
            **numbers[variable.dtype],
        )

    return update_step


def check_decay(decay: Any) -> None:
    """Raises `ValueError` unless `decay` is `None` or a number in (0, 1)."""
    if decay is not None:
        inside = {"least": math.nextafter(0, 1), "most": math.nextafter(1, 0)}
        expected = "a number between 0 and 1"
        check_number("average_decay", decay, **inside, expected=expected)


class WeightAverage:
    """Exponential moving average of variables, often better than the last weights.

    The t-th update sets it to `d * average + (1 - d) * value`, where
    `d = min(decay, (t - 1) / (t + 8))`: the first update copies the weights, and the
    next ones soon forget them. Moving averages of normalizations are averaged, too.
    """

    def __init__(self, variables: Sequence[keras.Variable], decay: float):
        self._decay = decay
        self._values = [v.value for v in variables]
        self._averages = [
            tf.Variable(tf.convert_to_tensor(v), trainable=False) for v in self._values
        ]
        self._count = tf.Variable(0.0, trainable=False)

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables to save in order to continue later."""
        return [self._count, *self._averages]

    @property
    def is_begun(self) -> bool:
        """Whether there was an update."""
        return bool(tf.convert_to_tensor(self._count) > 0)

    def update(self, *, is_due: tf.Tensor) -> None:
        """Moves the averages if `is_due`; each replica moves its own copy."""
        step = tf.cast(is_due, tf.float32)
        count = self._count + step
        self._count.assign(count)
        share = step * (1 - tf.minimum(self._decay, (count - 1) / (count + 8)))
        for average, value in zip(self._averages, self._values, strict=True):
            # A refused step leaves NaN in the normalizations' moving averages until
            # they are restored, and 0 times NaN is NaN.
            moved = tf.math.multiply_no_nan(
                value - average, tf.cast(share, average.dtype)
            )
            average.assign(average + moved)

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Replaces the weights by their averages inside a `with` block."""
        weights = [tf.identity(v) for v in self._values]
        for value, average in zip(self._values, self._averages, strict=True):
            value.assign(tf.convert_to_tensor(average))
        try:
            yield
        finally:
            for value, weight in zip(self._values, weights, strict=True):
                value.assign(weight)
