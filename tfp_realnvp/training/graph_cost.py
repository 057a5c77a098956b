"""Counting what a traced computation takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import tensorflow as tf

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


def count_flops(results: Iterable[tf.Tensor], batch_size: int) -> int:
    """Returns the operations of all that the results depend on."""
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
    bodies = (count_flops(graph.outputs, batch_size) for graph in _bodies(op))
    return max(bodies, default=0)


def _bodies(op: tf.Operation) -> Iterator[tf.Graph]:
    """Returns the graphs of functions that an operation calls."""
    for attribute in op.op_def.attr:
        if attribute.type in ("func", "list(func)"):
            value = op.get_attr(attribute.name)
            for function in value if isinstance(value, list) else [value]:
                # TensorFlow has no public way from the name to the graph.
                yield op.graph._get_function(function.name).graph


def count_kept_bytes(
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
