"""The cost of training a flow, estimated before it begins."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.flows import RealNVPBijector
from tfp_realnvp.flows.call_arguments import is_transformed
from tfp_realnvp.training.flow_model import FlowModel


@dataclasses.dataclass(frozen=True)
class Cost:
    """Number of weights and operations per example, and shapes of the latents.

    Counts convolutions and matrix products only, a multiplication with its addition as
    two operations; of `tf.cond` the costliest branch, of `tf.while_loop` one iteration.
    Latents are those of a `RealNVPBijector` by scale, finest first, if there is one.
    """

    parameters: int
    other_weights: int
    latent_shapes: tuple[tuple[int, ...], ...]
    log_prob_flops: int
    training_flops: int

    def __str__(self) -> str:
        shapes = ", ".join(" x ".join(map(str, s)) for s in self.latent_shapes)
        return (
            f"parameters: {self.parameters:,}, and {self.other_weights:,} weights that "
            "are not trained\n"
            f"operations for each example: {self.log_prob_flops / 1e6:,.3g} MFLOP for "
            f"log_prob, {self.training_flops / 1e6:,.3g} MFLOP in training"
        ) + (f"\nlatents, finest first: {shapes}" if shapes else "")


def measure_cost(model: FlowModel, batch_size: int) -> Cost:
    """Returns the cost of training a model, from the graph of a step, without a run."""
    trained, weights = (
        sum(math.prod(v.shape) for v in variables)
        for variables in (model.trainable_variables, model.weights)
    )
    dtype = tf.uint8 if model.is_over_pixels else model.flow.dtype
    specs = [tf.TensorSpec([batch_size, *model.flow.event_shape], dtype)]
    if model.condition_size is not None:
        specs.append(tf.TensorSpec([batch_size], tf.int32))

    def flops(compute: Any) -> int:
        found = []

        def run(*batch: tf.Tensor) -> None:
            found.append(_flops(compute(model, *batch), batch_size))

        # Normalization uses other operations on several replicas than on one.
        with model.distribute_strategy.scope():
            tf.function(run, autograph=False).get_concrete_function(*specs)
        return found[0] // batch_size

    return Cost(
        parameters=trained,
        other_weights=weights - trained,
        latent_shapes=_latent_shapes(model.flow),
        log_prob_flops=flops(_log_prob),
        training_flops=flops(_training_step),
    )


def _log_prob(model: FlowModel, x: Any, condition: Any = None) -> list[tf.Tensor]:
    return [model.log_prob_parts(x, condition)[0]]


def _training_step(model: FlowModel, x: Any, condition: Any = None) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        log_prob, _ = model.log_prob_parts(x, condition, training=True)
        loss = tf.reduce_mean(model.to_units(log_prob)) + sum(model.losses)
    # Outside of a step the tape records only the first replica's variables.
    copies = model.distribute_strategy.experimental_local_results
    variables = [copies(v.value)[0] for v in model.trainable_variables]
    gradients = tape.gradient(loss, variables)
    return [loss, *(g for g in gradients if g is not None)]


def _latent_shapes(flow: tfd.Distribution) -> tuple[tuple[int, ...], ...]:
    if not is_transformed(flow):
        return ()
    for bijector in (flow.bijector, *flow.bijector.submodules):
        if isinstance(bijector, RealNVPBijector):
            latents = tf.zeros([1, *bijector.event_shape], bijector.dtype)
            return tuple(tuple(z.shape[1:]) for z in bijector.split_latent(latents))
    return ()


def _flops(results: Iterable[tf.Tensor], batch_size: int) -> int:
    todo, seen, total = [tensor.op for tensor in results], set(), 0
    while todo:
        op = todo.pop()
        if op.name not in seen:
            seen.add(op.name)
            total += _flops_of_op(op, batch_size)
            todo += [tensor.op for tensor in op.inputs]
    return total


def _flops_of_op(op: tf.Operation, batch_size: int) -> int:
    def size(tensor: tf.Tensor, axes: Sequence[int] | None = None) -> int:
        # An unknown axis is nearly always the batch's.
        axes = range(tensor.shape.rank) if axes is None else axes
        return math.prod(tensor.shape[i] or batch_size for i in axes)

    window = [0, 1, 2]  # All axes of a kernel but the output channels.
    if op.type == "Conv2D":
        return 2 * size(op.outputs[0]) * size(op.inputs[1], window)
    if op.type == "Conv2DBackpropInput":
        return 2 * size(op.inputs[2]) * size(op.inputs[1], window)
    if op.type == "Conv2DBackpropFilter":
        return 2 * size(op.inputs[2]) * size(op.outputs[0], window)
    if op.type == "MatMul" or op.type.startswith("BatchMatMul"):
        transposed = "transpose_a" if op.type == "MatMul" else "adj_x"
        inner = -2 if op.get_attr(transposed) else -1
        return 2 * size(op.outputs[0]) * size(op.inputs[0], [inner])
    bodies = (_flops(graph.outputs, batch_size) for graph in _bodies(op))
    return max(bodies, default=0)


def _bodies(op: tf.Operation) -> Iterator[tf.Graph]:
    """Yields the graphs of functions that an operation calls."""
    for attribute in op.op_def.attr:
        if attribute.type in ("func", "list(func)"):
            value = op.get_attr(attribute.name)
            for function in value if isinstance(value, list) else [value]:
                # TensorFlow has no public way from the name to the graph.
                yield op.graph._get_function(function.name).graph
