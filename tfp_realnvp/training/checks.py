"""Checks of training data before any work is done on it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_flag, check_int, checked_array, shortened

# What Keras would take for several inputs, or would not know what to do with.
_NO_DATA = (str, bytes, int, float, complex, np.generic, list, tuple, set, dict)


def check_data(
    x: Any,
    condition: Any,
    event_shape: Sequence[int],
    *,
    pixels: bool,
    condition_size: int | None,
) -> None:
    """Checks what a flow is to be trained or measured on.

    Args:
      x: Array, `Tensor`, or `tf.data.Dataset` of batches or of pairs of a batch and
        its conditions; anything else passes.
      condition: Array or `Tensor` of conditions, or `None`.
      event_shape: Sequence of Python `int`s.
      pixels: Python `bool`, whether the values must be pixels in [0, 256).
      condition_size: Python `int`, number of classes or length of the vectors the flow
        is conditioned on; `None` if it is not.

    Raises:
      ValueError: If there are no examples, if shapes or values are not those of the
        flow, if a condition is missing or one is given and not wanted.
    """
    is_read = hasattr(x, "shape") or isinstance(x, (Iterable, keras.utils.PyDataset))
    is_read = is_read and not isinstance(x, type)
    if not is_read or isinstance(x, _NO_DATA):
        raise ValueError(
            "x: expected an array, a Tensor or a tf.data.Dataset of batches, got "
            f"{shortened(x)}."
        )
    if isinstance(x, tf.data.Dataset):
        _check_dataset(x, condition, event_shape, condition_size)
    elif isinstance(x, np.ndarray) or tf.is_tensor(x):
        _check_dtype(tf.TensorSpec([], _tf_dtype(x.dtype)))
        _check_shape(tf.TensorShape(x.shape), event_shape)
        if x.shape[0] == 0:
            raise ValueError("x: expected examples, got none.")
        _check_values(np.asarray(x), pixels=pixels)
        _check_condition(condition, condition_size, count=x.shape[0])


def _check_dataset(
    x: tf.data.Dataset,
    condition: Any,
    event_shape: Sequence[int],
    condition_size: int | None,
) -> None:
    if condition is not None:
        raise ValueError(
            "condition: expected None beside a data set, which holds pairs "
            f"(x, condition) itself; got {type(condition).__name__}."
        )
    spec = x.element_spec
    specs = spec if isinstance(spec, tuple) else (spec,)
    if isinstance(spec, dict) and set(spec) != {"x", "condition"}:
        raise ValueError(
            "x: expected a data set of batches, or of pairs (x, condition), got dicts "
            f"of {shortened(sorted(spec))}."
        )
    wanted = 1 if condition_size is None else 2
    if len(specs) != wanted:
        kind = "batches of x alone" if wanted == 1 else "pairs (x, condition)"
        raise ValueError(
            f"x: expected a data set of {kind}, for condition_size is "
            f"{condition_size}; got elements of {len(specs)} parts."
        )
    if isinstance(specs[0], tf.TensorSpec):
        _check_dtype(specs[0])
        _check_shape(specs[0].shape, event_shape)
    if condition_size is not None and isinstance(specs[1], tf.TensorSpec):
        _check_condition_kind(specs[1].dtype, specs[1].shape, condition_size)
    # Where the length is not known, one batch tells; elsewhere asking for one
    # could cost the filling of a shuffle buffer.
    length = int(x.cardinality())
    unknown = length == tf.data.UNKNOWN_CARDINALITY
    if length == 0 or (unknown and not any(True for _ in x.take(1))):
        raise ValueError("x: expected batches, got an empty data set.")


def _tf_dtype(dtype: Any) -> tf.DType:
    try:
        return tf.as_dtype(dtype)
    except TypeError:
        raise ValueError(f"x: expected real numbers, got dtype {dtype}.") from None


def _check_dtype(spec: tf.TensorSpec) -> None:
    dtype = spec.dtype
    if not (dtype.is_floating or dtype.is_integer) or dtype.is_quantized:
        raise ValueError(f"x: expected real numbers, got dtype {dtype.name}.")


def _check_shape(shape: tf.TensorShape, event_shape: Sequence[int]) -> None:
    expected = tf.TensorShape([None, *event_shape])
    if not expected.is_compatible_with(shape):
        sizes = ", ".join(map(str, event_shape))
        raise ValueError(f"x: expected batches of shape (N, {sizes}), got {shape}.")


def _check_values(x: np.ndarray, *, pixels: bool) -> None:
    if np.issubdtype(x.dtype, np.floating) and np.isnan(x).any():
        count = int(np.isnan(x).sum())
        raise ValueError(f"x: expected numbers, got NaN in {count} places.")
    if np.issubdtype(x.dtype, np.floating) and np.isinf(x).any():
        count = int(np.isinf(x).sum())
        raise ValueError(f"x: expected finite numbers, got infinity in {count} places.")
    # Jitter can round 255.999... up to 256 in float32.
    largest = 256 if np.issubdtype(x.dtype, np.floating) else 255
    if pixels and (x.min() < 0 or x.max() > largest):
        raise ValueError(
            f"x: expected pixels in [0, 256), got values from {x.min()} to {x.max()}."
        )
    if pixels and np.issubdtype(x.dtype, np.floating) and 0 < x.max() <= 1:
        warnings.warn(
            f"x: expected pixels in [0, 256), got floats up to {x.max()}: were they "
            "divided by 255? To the flow they are almost black.",
            stacklevel=5,
        )


def _check_condition(condition: Any, condition_size: int | None, *, count: int) -> None:
    if condition_size is None:
        if condition is None:
            return
        raise ValueError(
            "condition: expected None, for the flow was made without condition_size "
            "and is trained on x alone; got one."
        )
    if condition is None:
        raise ValueError(
            "condition: expected the labels or vectors that belong to x, for the flow "
            f"was made with condition_size={condition_size}; got None."
        )
    condition = checked_array(
        "condition", condition, kinds="biuf", expected="an array of labels or vectors"
    )
    _check_condition_kind(
        tf.as_dtype(condition.dtype), tf.TensorShape(condition.shape), condition_size
    )
    if condition.ndim == 0 or condition.shape[0] != count:
        raise ValueError(
            f"condition: expected one for each of the {count} examples of x, got "
            f"{condition.shape[0] if condition.ndim else 'a single one'}."
        )
    if condition.dtype.kind in "iu":
        low, high = condition.min(), condition.max()
        if low < 0 or high >= condition_size:
            raise ValueError(
                f"condition: expected labels in [0, {condition_size}), got values from "
                f"{low} to {high}."
            )
    elif not np.isfinite(condition).all():
        raise ValueError("condition: expected finite numbers, got NaN or infinity.")


def _check_condition_kind(
    dtype: tf.DType, shape: tf.TensorShape, condition_size: int
) -> None:
    wanted = (None,) if dtype.is_integer else (None, condition_size)
    if not tf.TensorShape(wanted).is_compatible_with(shape):
        raise ValueError(
            "condition: expected integer labels of shape (N,) or floating or boolean "
            f"vectors of shape (N, {condition_size}), got {dtype.name} of shape "
            f"{shape}."
        )


def checked_pixels(x: tf.Tensor, name: str) -> tf.Tensor:
    """Returns `x`, with a check that its values are pixels when it is evaluated.

    For batches of a `tf.data.Dataset`, which `check_data` does not look into.

    Args:
      x: `Tensor` of any shape.
      name: Python `str`, what to call `x` in an error.

    Raises:
      tf.errors.InvalidArgumentError: If a value is NaN or outside [0, 256). Not under
        XLA, which leaves assertions out.
    """
    if x.dtype == tf.uint8:
        return x
    largest = tf.constant(256 if x.dtype.is_floating else 255, x.dtype)
    zero = tf.zeros([], x.dtype)
    is_pixel = tf.reduce_all((x >= zero) & (x <= largest))
    message = f"{name}: expected pixels in [0, 256) and no NaN, got values from"
    details = [message, tf.reduce_min(x), "to", tf.reduce_max(x)]
    with tf.control_dependencies([tf.debugging.Assert(is_pixel, details)]):
        return tf.identity(x)


def check_compile(
    optimizer: Any, jit_compile: bool, strategy: tf.distribute.Strategy
) -> None:
    """Checks that Keras and TensorFlow can train as they are asked to.

    Raises:
      ValueError: If they cannot.
    """
    check_flag("jit_compile", jit_compile)
    replicas = strategy.num_replicas_in_sync
    if jit_compile and replicas > 1:
        raise ValueError(
            f"jit_compile: expected False with {replicas} replicas, for XLA does not "
            "compile what replicas exchange inside a step; got True."
        )
    if isinstance(optimizer, str):
        # Keras names neither the argument nor what there is.
        try:
            optimizer = keras.optimizers.get(optimizer)
        except ValueError:
            raise ValueError(
                "optimizer: expected a Keras optimizer or the name of one, got "
                f"{optimizer!r}."
            ) from None
    if not (optimizer is None or isinstance(optimizer, keras.optimizers.Optimizer)):
        raise ValueError(
            "optimizer: expected a Keras optimizer, the name of one, or None, got "
            f"{shortened(optimizer)}."
        )
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "optimizer: expected one without loss scaling, for a step that is not "
            "finite counts as failed here; got LossScaleOptimizer. bfloat16 needs "
            "none: make the flow with network_dtype='mixed_bfloat16'."
        )
    parts = getattr(optimizer, "gradient_accumulation_steps", None)
    made_under = getattr(optimizer, "_distribution_strategy", strategy)
    if made_under is not strategy:
        raise ValueError(
            "optimizer: expected one made in the scope of the model's "
            f"{type(strategy).__name__}, got one made outside of it."
        )
    with strategy.scope():
        is_distributed = tf.distribute.has_strategy()
    if parts and is_distributed:
        raise ValueError(
            "optimizer: expected none with gradient_accumulation_steps under a "
            f"{type(strategy).__name__}, where Keras cannot accumulate gradients; got "
            f"{parts}. Take more replicas or smaller batches instead."
        )


def check_counts(arguments: dict[str, Any]) -> None:
    """Raises `ValueError` if a number that Keras is to count to is none."""
    for name in (
        "batch_size",
        "epochs",
        "steps_per_epoch",
        "steps",
        "validation_steps",
    ):
        if arguments.get(name) is not None:
            check_int(name, arguments[name])
    if arguments.get("initial_epoch") is not None:
        check_int("initial_epoch", arguments["initial_epoch"], least=0)


def refuse(arguments: dict[str, Any], names: tuple[str, ...]) -> None:
    """Raises `ValueError` for arguments of Keras that mean nothing to a density."""
    for name in names:
        if arguments.get(name) is not None:
            raise ValueError(
                f"{name}: expected None, for a FlowModel is trained and measured by "
                f"the likelihood of x alone; got {shortened(arguments[name])}."
            )
