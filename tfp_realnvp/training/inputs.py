"""Data for training and evaluation: unpacked, cast and checked."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_int, checked_array, shortened

# Arguments of Keras: numbers to be checked, and those with no meaning here.
_COUNTS = ("batch_size", "epochs", "steps_per_epoch", "steps", "validation_steps")
_REFUSED = ("loss", "loss_weights", "metrics", "weighted_metrics", "class_weight")


class Batch(NamedTuple):
    """The parts of a batch; a missing part is `None`."""

    x: Any
    condition: Any = None
    sample_weight: Any = None

    def present(self) -> dict[str, Any]:
        """Returns the parts that are present, by name."""
        return {k: part for k, part in self._asdict().items() if part is not None}


def unpack(data: Any) -> Batch:
    """Returns the parts of data, a batch or its specs, as Keras passes them on.

    Data are x, or a tuple (x, condition, sample_weight) whose last parts may be missing
    or `None`, with x possibly replaced by a `dict` with these names as keys.
    """
    x, condition, weight = keras.utils.unpack_x_y_sample_weight(data)
    parts = {"x": x, "condition": condition, "sample_weight": weight}
    if isinstance(x, dict):
        del parts["x"]
        for key, value in x.items():
            name, _, dtype = str(key).partition(":")
            parts[name] = tf.bitcast(value, dtype) if dtype else value
        if set(parts) != set(Batch._fields):
            raise ValueError(
                "x: expected batches alone, or with condition and sample_weight as a "
                "tuple or as a dict of x and condition or sample_weight, got a dict of "
                f"{shortened(sorted(map(str, x)))}."
            )
    return Batch(**{k: None if _is_absent(v) else v for k, v in parts.items()})


def for_keras(batch: Batch, dtype: tf.DType, *, pixels: bool) -> Batch:
    """Returns x, y and sample_weight to give to Keras, which `unpack` can undo.

    Integer pixels stay integers; any other x is cast to `dtype`.
    """
    x = batch.x
    if isinstance(x, tf.data.Dataset):
        if any(map(_is_absent, tf.nest.flatten(x.element_spec))):
            # `tf.distribute` fails on data sets with `None` in them.
            return Batch(x.map(lambda *data: unpack(data).present()))
        return batch
    if not hasattr(x, "__array__"):
        return batch
    arrays = {name: np.asarray(value) for name, value in batch.present().items()}
    if not pixels or arrays["x"].dtype.kind not in "iu":
        arrays["x"] = arrays["x"].astype(dtype.as_numpy_dtype, copy=False)
    is_cast = dtype.name != keras.config.floatx() and arrays["x"].dtype == dtype.name
    if is_cast:
        # Keras casts floating arrays to its `floatx`, but leaves integers alone.
        bits = np.dtype(f"i{arrays['x'].itemsize}")
        arrays[f"x:{dtype.name}"] = np.ascontiguousarray(arrays.pop("x")).view(bits)
    # Without labels Keras would silently drop the weights.
    if is_cast or ("sample_weight" in arrays and "condition" not in arrays):
        return Batch(arrays)
    return Batch(**arrays)


def check_arguments(given: dict[str, Any]) -> None:
    """Raises `ValueError` for arguments of Keras that a `FlowModel` cannot take."""
    for name in _COUNTS:
        if given.get(name) is not None:
            check_int(name, given[name])
    for name in _REFUSED:
        if given.get(name) is not None:
            raise ValueError(
                f"{name}: expected None, as a FlowModel is trained and evaluated by "
                f"the likelihood of x alone; got {shortened(given[name])}."
            )


def check_data(
    x: Any,
    condition: Any = None,
    *,
    event_shape: Sequence[int],
    pixels: bool,
    condition_size: int | None,
    steps: tuple[str, Any] = ("steps", 1),
) -> None:
    """Raises `ValueError` for data that a flow cannot be trained or evaluated on.

    Checks the types and values of arrays, and the types of data sets; generators and
    the like pass. `steps` is the name and value of the argument that limits batches.
    """
    if isinstance(x, tf.data.Dataset):
        if condition is not None:
            raise ValueError(
                "condition: expected None with a data set, which must yield pairs "
                "(x, condition) itself."
            )
        length, spec = int(x.cardinality()), unpack(x.element_spec)
        check_given(spec.condition, condition_size)
        _check_kind("x", spec.x, event_shape)
        if condition_size is not None:
            _check_kind("condition", spec.condition, (condition_size,))
        if length == 0:
            raise ValueError("x: expected batches, got an empty data set.")
        is_endless = length == tf.data.INFINITE_CARDINALITY
    elif hasattr(x, "__array__"):
        x, is_endless = np.asarray(x), False
        _check_kind("x", x, event_shape)
        # Dequantization can round 255.999... up to 256 in float32.
        largest = 255 if x.dtype.kind in "iu" else 256
        _check_values("x", x, "pixels in [0, 256)" if pixels else "", largest)
        check_given(condition, condition_size)
        if condition_size is not None:
            labels = checked_array(
                "condition", condition, kinds="biuf", expected="labels or vectors"
            )
            _check_kind("condition", labels, (condition_size,))
            classes = f"labels in [0, {condition_size})"
            is_label = labels.dtype.kind in "iu"
            _check_values(
                "condition", labels, classes if is_label else "", condition_size - 1
            )
    elif isinstance(x, (str, bytes, list, tuple, set, dict)) or not isinstance(
        x, (Iterable, keras.utils.PyDataset)
    ):
        raise ValueError(
            "x: expected an array, a Tensor or a tf.data.Dataset of batches, got "
            f"{shortened(x)}."
        )
    else:
        is_endless = isinstance(x, keras.utils.PyDataset) and x.num_batches is None
    if is_endless and steps[1] is None:
        raise ValueError(
            f"{steps[0]}: expected the number of batches to take from an endless data "
            "set, got None."
        )


def check_given(condition: Any, condition_size: int | None) -> None:
    """Raises `ValueError` for a missing condition or an unwanted one."""
    if condition is not None and condition_size is None:
        raise ValueError(
            "condition: expected None, as the flow was made without condition_size; "
            "got a condition."
        )
    if condition is None and condition_size is not None:
        raise ValueError(
            "condition: expected labels or vectors for x (a data set yields pairs "
            "(x, condition)), as the flow was made with "
            f"condition_size={condition_size}; got None."
        )


def checked_pixels(x: tf.Tensor) -> tf.Tensor:
    """Returns `x`, with a check in the graph that its values are pixels, without NaN.

    Such checks are for data sets, whose values are not checked beforehand.
    """
    if x.dtype == tf.uint8:
        return x
    largest = tf.constant(256 if x.dtype.is_floating else 255, x.dtype)
    is_pixel = (x >= tf.zeros([], x.dtype)) & (x <= largest)
    return _asserted(x, is_pixel, "x: expected pixels in [0, 256) and no NaN")


def checked_labels(condition: tf.Tensor, condition_size: int) -> tf.Tensor:
    """Returns a condition, with a check in the graph that labels are classes."""
    if not condition.dtype.is_integer:
        return condition
    labels = tf.cast(condition, tf.int64)
    message = f"condition: expected labels in [0, {condition_size})"
    return _asserted(labels, (labels >= 0) & (labels < condition_size), message)


def checked_weights(weights: tf.Tensor) -> tf.Tensor:
    """Returns sample weights, with a check in the graph that none is negative."""
    message = "sample_weight: expected numbers of 0 or more"
    return _asserted(weights, ~(weights < 0), message)


def warn_of_made_over_pixels(x: Any) -> None:
    """Warns of floating pixels that seem to be rescaled or not dequantized."""
    if not tf.is_tensor(x) or not x.dtype.is_floating or tf.size(x) == 0:
        return
    message, largest = "", tf.reduce_max(x)
    if 0 < largest <= 1:
        message = (
            f"x: expected pixels in [0, 256), got floats up to {float(largest)}: were "
            "they divided by 255? To the flow they are almost black."
        )
    elif largest > 1 and tf.reduce_all(tf.equal(x, tf.round(x))):
        message = (
            "x: expected integers, or floats with dequantization noise, got floats "
            "that are whole numbers: densities at discrete points are unbounded, and "
            "bits/dim meaningless. Pass uint8, and the model adds the noise."
        )
    if message:
        # The warning shows Keras's loop over batches, which called our functions.
        warnings.warn(message, stacklevel=5)


def _is_absent(value: Any) -> bool:
    # Keras turns the `None`s of a generator into `Optional`s, and TensorFlow has no
    # public name for the spec of a constant `None`.
    is_optional = isinstance(value, tf.experimental.Optional)
    return value is None or is_optional or type(value).__name__ == "NoneTensorSpec"


def _check_kind(name: str, values: Any, shape: Sequence[int]) -> None:
    """Checks dtype and shape of an array or of a data set's batch spec."""
    if not isinstance(values, (np.ndarray, tf.TensorSpec)):
        return
    try:
        dtype = tf.as_dtype(values.dtype)
    except TypeError:
        dtype = tf.string
    is_label = name == "condition" and dtype.is_integer
    wanted = tf.TensorShape([None] if is_label else [None, *shape])
    is_number = dtype.is_floating or dtype.is_integer or name == "condition"
    if not is_number or dtype.is_quantized or dtype == tf.string:
        raise ValueError(f"{name}: expected real numbers, got dtype {values.dtype}.")
    if wanted.is_compatible_with(values.shape):
        return
    sizes = ", ".join(map(str, shape))
    expected = f"batches of shape (N, {sizes})"
    if name == "condition":
        expected = f"integer labels of shape (N,) or vectors of shape (N, {sizes})"
    raise ValueError(
        f"{name}: expected {expected}, got {dtype.name} of shape {values.shape}."
    )


def _check_values(name: str, values: np.ndarray, expected: str, most: int) -> None:
    """Checks that an array is finite and, if `expected` is given, in [0, most]."""
    if len(values) == 0:
        raise ValueError(f"{name}: expected examples, got none.")
    bad = 0 if values.dtype.kind in "iu" else int((~np.isfinite(values)).sum())
    if bad:
        raise ValueError(
            f"{name}: expected finite numbers, got NaN or infinity in {bad} places."
        )
    if expected and (values.min() < 0 or values.max() > most):
        raise ValueError(
            f"{name}: expected {expected}, got values from {values.min()} to "
            f"{values.max()}."
        )


def _asserted(x: tf.Tensor, is_good: tf.Tensor, message: str) -> tf.Tensor:
    details = [f"{message}, got values from", tf.reduce_min(x), "to", tf.reduce_max(x)]
    checked = tf.debugging.Assert(tf.reduce_all(is_good), details)
    with tf.control_dependencies([checked]):
        return tf.identity(x)
