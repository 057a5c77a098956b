"""What training a flow will cost, told before it begins."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_int
from tfp_realnvp.flows import RealNVPBijector
from tfp_realnvp.flows.call_arguments import is_transformed
from tfp_realnvp.training.flow_model import FlowModel

# What these return lies where their first input does.
_ALIASES = {
    "EnsureShape",
    "ExpandDims",
    "Identity",
    "PreventGradient",
    "Reshape",
    "Squeeze",
    "StopGradient",
}
# These look at the shape of their input, not at its values.
_SHAPE_ONLY = {"Rank", "Shape", "ShapeN", "Size", "ZerosLike"}
# These are there anyway, or in no memory of their own.
_NOT_KEPT = {"Const", "Placeholder", "ReadVariableOp"}


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a flow's computations take.

    Floating point operations are those of convolutions and matrix products, two for
    each multiplication and addition; elementwise work, which takes a small share of
    them but not of the time, is not counted. Of `tf.cond` the dearest branch counts,
    and of `tf.while_loop` one turn.

    The memory is an estimate of what is held when the backward pass begins. It leaves
    out what the passes need for the moment (the workspace of convolutions, the
    gradients of activations), the data, and TensorFlow with its graph. On a CPU the
    memory of a process grew with the batch 6% (`cifar10`) and 16% (`cifar10-small`)
    faster than the estimate, above a constant of 1.7 and 0.55 GB. XLA may keep less. A
    flow with `memory="recompute"` keeps little; the activations of one coupling at a
    time, which its gradient computes again, are not counted.

    Attributes:
      batch_size: Examples in a step; with several replicas, of one of them.
      parameters: Number of trainable parameters.
      other_weights: Number of weights that are not trained: moving averages.
      latent_shapes: Shapes of the latents of one example by scale, finest first; empty
        if there is no `RealNVPBijector`.
      log_prob_flops: Floating point operations of `log_prob` for each example.
      training_flops: The same of a training step.
      weight_bytes: Memory of all weights.
      optimizer_bytes: Memory of the optimizer's variables and of the running average
        of the weights; 0 if the model is not compiled.
      gradient_bytes: Memory of the gradients.
      activation_bytes: Memory of what the backward pass takes from the forward pass.
    """

    batch_size: int
    parameters: int
    other_weights: int
    latent_shapes: tuple[tuple[int, ...], ...]
    log_prob_flops: int
    training_flops: int
    weight_bytes: int
    optimizer_bytes: int
    gradient_bytes: int
    activation_bytes: int

    @property
    def memory_bytes(self) -> int:
        """Sum of all memory."""
        return (
            self.weight_bytes
            + self.optimizer_bytes
            + self.gradient_bytes
            + self.activation_bytes
        )

    def lines(self) -> list[str]:
        """Returns it for people to read."""
        lines = [
            f"parameters: {self.parameters:,}, and {self.other_weights:,} weights that "
            "are not trained"
        ]
        if self.latent_shapes:
            shapes = [" x ".join(map(str, shape)) for shape in self.latent_shapes]
            lines.append(f"latents, finest first: {', '.join(shapes)}")
        return [
            *lines,
            f"operations for each example: {_prefixed(self.log_prob_flops, 1000)}FLOP "
            f"for log_prob, {_prefixed(self.training_flops, 1000)}FLOP in training",
            f"memory with batches of {self.batch_size}, at least: "
            f"{_binary(self.memory_bytes)} (weights {_binary(self.weight_bytes)}, "
            f"optimizer {_binary(self.optimizer_bytes)}, "
            f"gradients {_binary(self.gradient_bytes)}, "
            f"activations {_binary(self.activation_bytes)})",
        ]


def measure_cost(model: FlowModel, batch_size: int) -> Cost:
    """Returns what training a model costs, from the graph of a step that is not run.

    Args:
      model: `FlowModel`, which stays as it is.
      batch_size: Python `int`.

    Returns:
      A `Cost`.

    Raises:
      ValueError: If `batch_size` is not positive.

    #### Example

    ```python
    >>> import tfp_realnvp as nvp
    >>> from tfp_realnvp.training.cost import measure_cost
    >>> flow = nvp.image_flow(event_shape=(8, 8, 1), filters=8, num_blocks=1)
    >>> measure_cost(nvp.FlowModel(flow), batch_size=16).latent_shapes
    ((4, 4, 2), (4, 4, 2))

    ```
    """
    check_int("batch_size", batch_size)
    # Keras's models have none before they are compiled.
    optimizer = getattr(model, "optimizer", None)
    of_optimizer = [
        *([] if optimizer is None else optimizer.variables),
        *([] if model.average is None else model.average.variables),
    ]
    step = _trace(model, batch_size, _training_step)
    evaluation = _trace(model, batch_size, _log_prob)
    return Cost(
        batch_size=batch_size,
        parameters=_count(model.trainable_variables),
        other_weights=_count(model.weights) - _count(model.trainable_variables),
        latent_shapes=_latent_shapes(model.flow),
        log_prob_flops=_flops(evaluation.results, batch_size) // batch_size,
        training_flops=_flops(step.results, batch_size) // batch_size,
        weight_bytes=_bytes(model.weights),
        optimizer_bytes=_bytes(of_optimizer),
        gradient_bytes=_bytes(model.trainable_variables),
        activation_bytes=_kept_bytes(step.results, step.forward, batch_size),
    )


@dataclasses.dataclass(frozen=True)
class _Traced:
    """A traced computation: what it returns, and the operations of its forward pass."""

    results: list[tf.Tensor]
    forward: set[str]
    # Operations do not outlive their graph.
    graph: tf.Graph


def _trace(model: FlowModel, batch_size: int, computation: Any) -> _Traced:
    dtype = tf.uint8 if model.is_over_pixels else model.flow.dtype
    specs = [tf.TensorSpec([batch_size, *model.flow.event_shape], dtype)]
    if model.condition_size is not None:
        specs.append(tf.TensorSpec([batch_size], tf.int32))
    found: list[tuple[list[tf.Tensor], set[str]]] = []

    def run(x: tf.Tensor, condition: tf.Tensor | None = None) -> None:
        results, forward = computation(model, x, condition)
        found.append((results, {op.name for op in forward}))

    # Several replicas normalize by other operations than one.
    with model.distribute_strategy.scope():
        graph = tf.function(run, autograph=False).get_concrete_function(*specs).graph
    return _Traced(*found[0], graph)


def _training_step(
    model: FlowModel, x: tf.Tensor, condition: tf.Tensor | None
) -> tuple[list[tf.Tensor], list[tf.Operation]]:
    with tf.GradientTape() as tape:
        log_prob, _ = model.log_prob_parts(x, condition, training=True)
        loss = tf.reduce_mean(model.to_units(log_prob)) + sum(model.losses)
    forward = x.graph.get_operations()
    # Outside of a step a tape knows the first replica's copies of the variables only.
    copies = model.distribute_strategy.experimental_local_results
    variables = [copies(v.value)[0] for v in model.trainable_variables]
    gradients = tape.gradient(loss, variables)
    return [loss, *(g for g in gradients if g is not None)], forward


def _log_prob(
    model: FlowModel, x: tf.Tensor, condition: tf.Tensor | None
) -> tuple[list[tf.Tensor], list[tf.Operation]]:
    log_prob, _ = model.log_prob_parts(x, condition)
    return [log_prob], x.graph.get_operations()


def _latent_shapes(flow: tfd.Distribution) -> tuple[tuple[int, ...], ...]:
    if not is_transformed(flow):
        return ()
    for bijector in (flow.bijector, *flow.bijector.submodules):
        if isinstance(bijector, RealNVPBijector):
            latents = tf.zeros([1, *bijector.event_shape], bijector.dtype)
            return tuple(tuple(z.shape[1:]) for z in bijector.split_latent(latents))
    return ()


def _count(variables: Sequence[Any]) -> int:
    return sum(math.prod(v.shape) for v in variables)


def _bytes(variables: Sequence[Any]) -> int:
    return sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in variables)


def _binary(count: int) -> str:
    return _prefixed(count, 1024) + "B"


def _prefixed(count: float, base: int) -> str:
    """Returns a number with a prefix, as in `"1.3 G"`, or `"1.3 Gi"` to base 1024."""
    prefixes = ["", "k", "M", "G", "T", "P"]
    if base == 1024:
        prefixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi"]
    power = 0
    while count >= base and power < len(prefixes) - 1:
        count, power = count / base, power + 1
    return f"{count:.3g} {prefixes[power]}"


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
        return _size(tensor.shape, batch_size, axes)

    # All axes of a kernel but that of the output channels.
    window = [0, 1, 2]
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
    """Returns the graphs of functions that an operation calls."""
    for attribute in op.op_def.attr:
        if attribute.type in ("func", "list(func)"):
            value = op.get_attr(attribute.name)
            for function in value if isinstance(value, list) else [value]:
                # TensorFlow has no public way from the name to the graph.
                yield op.graph._get_function(function.name).graph


def _kept_bytes(
    results: Iterable[tf.Tensor], forward: set[str], batch_size: int
) -> int:
    """Returns the memory of what the backward pass takes from the forward pass."""
    todo, seen, kept = [tensor.op for tensor in results], set(), {}
    while todo:
        op = todo.pop()
        if op.name in seen or op.name in forward or op.type in _SHAPE_ONLY:
            continue
        seen.add(op.name)
        for tensor in op.inputs:
            todo.append(tensor.op)
            if tensor.op.name in forward:
                origin = _origin(tensor)
                kept[origin.ref()] = origin
    return sum(
        _size(tensor.shape, batch_size) * tensor.dtype.size
        for tensor in kept.values()
        if tensor.op.type not in _NOT_KEPT
    )


def _origin(tensor: tf.Tensor) -> tf.Tensor:
    while tensor.op.type in _ALIASES:
        tensor = tensor.op.inputs[0]
    return tensor


def _size(
    shape: tf.TensorShape, batch_size: int, axes: Sequence[int] | None = None
) -> int:
    # Such is what cuDNN alone keeps of a batch normalization.
    if shape.rank is None:
        return 0
    # What is not known is most often the batch's axis, where it went through a
    # function that takes any.
    axes = range(shape.rank) if axes is None else axes
    return math.prod(batch_size if shape[i] is None else shape[i] for i in axes)
