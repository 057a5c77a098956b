"""Inputs of bijectors: events, and conditions as labels or vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.arguments import check_int, checked_array, checked_shape


def check_floating(name: str, value: tf.Tensor) -> None:
    """Raises an error unless an array or `Tensor` has a floating dtype."""
    check_not_symbolic(name, value)
    if not tf.as_dtype(value.dtype).is_floating:
        raise ValueError(
            f"{name}: expected a floating dtype, got {tf.as_dtype(value.dtype).name}. "
            "To integer pixels add dequantization noise, uniform in [0, 1), as "
            "FlowModel does; cast other numbers."
        )


def check_not_symbolic(name: str, value: Any) -> None:
    """Raises `TypeError` for symbolic tensors, as from `keras.Input`."""
    if isinstance(value, keras.KerasTensor):
        raise TypeError(
            f"{name}: expected numbers, got a symbolic tensor of Keras. "
            "tfp_realnvp.FlowLayer(flow), a Keras layer, takes these."
        )


def event_shape_from(event_shape: Any) -> tuple[int, ...]:
    """Returns the argument `event_shape` of a bijector, checked, as a `tuple`."""
    expected = "a sequence of positive ints, channels last"
    shape = checked_shape("event_shape", event_shape, expected=expected)
    if not shape:
        raise ValueError(f"event_shape: expected {expected}, got ().")
    return shape


def event_shape_of(value: tf.Tensor, event_ndims: int) -> list[int | tf.Tensor]:
    """Returns the last `event_ndims` dimensions, static where they are known."""
    static = value.shape[value.shape.rank - event_ndims :].as_list()
    if None not in static:
        return static
    dynamic = tf.unstack(tf.shape(value)[-event_ndims:])
    return [d if s is None else s for s, d in zip(static, dynamic, strict=True)]


def checked_event_shape(
    shape: tf.TensorShape,
    name: str,
    event_shape: Sequence[int],
    *,
    any_size: bool = False,
    divisor: int = 1,
) -> tf.TensorShape:
    """Returns the static shape of events, checked against `event_shape`.

    With `any_size` only the last axis must agree, and `divisor` divide the others.
    """
    *outer, channels = event_shape
    wanted = tf.TensorShape([*([None] * len(outer) if any_size else outer), channels])
    if shape.rank is None:
        return wanted
    if shape.rank >= len(event_shape):
        event = shape[-len(event_shape) :]
        sides = event[:-1]
        divided = all(
            side is None or (side > 0 and side % divisor == 0) for side in sides
        )
        if wanted.is_compatible_with(event) and divided:
            return wanted.merge_with(event)
    expected = f"(..., {', '.join(str(n) for n in event_shape)})"
    if any_size and outer:
        expected += f" or other sides than {' x '.join(map(str, outer))}"
        if divisor > 1:
            expected += f" that are divisible by {divisor}"
    raise ValueError(f"{name}: expected shape {expected}, got {shape}.")


def check_condition_size(condition_size: int | None) -> None:
    """Raises `ValueError` if `condition_size` is neither `None` nor a positive int."""
    if condition_size is not None:
        check_int("condition_size", condition_size)


def common_condition_size(condition_sizes: Iterable[int | None]) -> int | None:
    """Returns the size that all conditional members of a bijector share, if any."""
    sizes = sorted({size for size in condition_sizes if size is not None})
    if len(sizes) > 1:
        raise ValueError(
            "bijectors: expected one condition_size for all that take a condition, "
            f"got {', '.join(map(str, sizes))}."
        )
    return sizes[0] if sizes else None


def encode_condition(
    condition: Any,
    condition_size: int | None,
    dtype: tf.DType,
    *,
    validate_args: bool,
) -> tf.Tensor | None:
    """Returns a condition as vectors, [..., condition_size], `None` if none is wanted.

    In a graph, labels are only checked with `validate_args`; otherwise labels out of
    range become vectors of zeros.
    """
    check_not_symbolic("condition", condition)
    if condition is not None and not tf.is_tensor(condition):
        condition = checked_array("condition", condition, kinds="biuf")
    got = "None"
    if condition is not None:
        condition = tf.convert_to_tensor(condition)
        got = f"{condition.dtype.name} of shape {tuple(condition.shape)}"
    if condition_size is None:
        if condition is None:
            return None
        raise ValueError(
            "condition: expected none, for this bijector was made without "
            f"condition_size; got {got}."
        )
    wanted = (
        f"condition: expected integer labels in [0, {condition_size}) of shape (...) "
        f"or floating vectors of shape (..., {condition_size})"
    )
    if condition is None:
        raise ValueError(f"{wanted}, got None.")
    if condition.dtype.is_integer:
        labels = tf.cast(condition, tf.int64)
        in_range = tf.reduce_all((labels >= 0) & (labels < condition_size))
        if tf.executing_eagerly() and not in_range:
            raise ValueError(
                f"{wanted}, got labels from {tf.reduce_min(labels)} to "
                f"{tf.reduce_max(labels)}."
            )
        if validate_args and not tf.executing_eagerly():
            check = tf.debugging.Assert(in_range, [f"{wanted}, got labels", labels])
            with tf.control_dependencies([check]):
                labels = tf.identity(labels)
        return tf.one_hot(labels, condition_size, dtype=dtype)
    last = condition.shape[-1] if condition.shape.rank else 0
    if condition.shape.rank is not None and last not in (None, condition_size):
        raise ValueError(f"{wanted}, got {got}.")
    return tf.cast(condition, dtype)


def broadcast_batch(
    value: tf.Tensor, condition: tf.Tensor, event_ndims: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Broadcasts the leading dimensions of a value and its condition to each other."""
    value_batch, condition_batch = value.shape[:-event_ndims], condition.shape[:-1]
    try:
        static = tf.broadcast_static_shape(value_batch, condition_batch)
    except ValueError as error:
        raise ValueError(
            f"condition: expected leading dimensions that broadcast against the batch "
            f"shape {value_batch}, got {condition_batch}."
        ) from error
    if value_batch == condition_batch and static.is_fully_defined():
        return value, condition
    first, second = tf.shape(value)[:-event_ndims], tf.shape(condition)[:-1]
    if first.shape != second.shape:
        dynamic = tf.broadcast_dynamic_shape(first, second)
    else:
        # The same for equal ranks, by operations that ONNX has too. Shapes that do not
        # broadcast fail later, in the broadcast to the result.
        dynamic = tf.where(tf.equal(first, 1), second, first)

    def spread(tensor: tf.Tensor, ndims: int) -> tf.Tensor:
        shape = tf.concat([dynamic, tf.shape(tensor)[-ndims:]], axis=0)
        full = tf.broadcast_to(tensor, shape)
        full.set_shape(static.concatenate(tensor.shape[-ndims:]))
        return full

    return spread(value, event_ndims), spread(condition, 1)
