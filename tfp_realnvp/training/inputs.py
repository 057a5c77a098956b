"""What a flow is trained and measured on: checked before any work, and taken apart."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import checked_array, shortened

_PARTS = ("x", "condition", "sample_weight")
# What Keras would take for several inputs, or would not know what to do with.
_NO_DATA = (str, bytes, int, float, complex, np.generic, list, tuple, set)


class Batch(NamedTuple):
    """The parts of a batch; what is absent is `None`."""

    x: Any
    condition: Any = None
    sample_weight: Any = None


def unpack(data: Any) -> Batch:
    """Returns the parts of data or of a batch as Keras hands them on.

    Args:
      data: x alone, a tuple (x, condition, sample_weight) of which the last may be
        missing or `None`, or a `dict` with such keys.
    """
    x, condition, weight = keras.utils.unpack_x_y_sample_weight(data)
    parts = {"x": x, "condition": condition, "sample_weight": weight}
    if isinstance(x, dict):
        for key, value in x.items():
            name, _, dtype = key.partition(":")
            parts[name] = tf.bitcast(value, dtype) if dtype else value
    # Keras makes one of the `None`s of a generator.
    return Batch(
        **{
            name: None if isinstance(value, tf.experimental.Optional) else value
            for name, value in parts.items()
        }
    )


def for_keras(batch: Batch, dtype: tf.DType, *, pixels: bool) -> tuple[Any, ...]:
    """Returns what to give Keras as x, y and sample_weight, so that `unpack` gets it.

    Args:
      batch: Arrays that `check_data` has seen, or a data set, a generator and so on.
      dtype: Of the flow.
      pixels: Python `bool`; integers over pixels stay what they are.
    """
    if isinstance(batch.x, tf.data.Dataset) and any(
        map(_is_absent, tf.nest.flatten(batch.x.element_spec))
    ):
        # `tf.distribute` fails on data sets with `None` in them.
        return Batch(batch.x.map(lambda *data: _present(unpack(data))))
    if not _is_array(batch.x):
        return batch
    arrays = {name: np.asarray(value) for name, value in _present(batch).items()}
    x, name = arrays["x"], tf.as_dtype(dtype).name
    if not pixels or x.dtype.kind not in "iu":
        arrays["x"] = x.astype(dtype.as_numpy_dtype, copy=False)
    is_cast = name != keras.config.floatx() and arrays["x"].dtype == name
    if is_cast:
        # Keras casts floating arrays to its own default, but no integers.
        bits = np.dtype(f"i{arrays['x'].itemsize}")
        arrays[f"x:{name}"] = np.ascontiguousarray(arrays.pop("x")).view(bits)
    # Without labels Keras would drop the weights without a word.
    if is_cast or ("sample_weight" in arrays and "condition" not in arrays):
        return Batch(arrays)
    return Batch(**arrays)


def check_data(
    x: Any,
    condition: Any = None,
    sample_weight: Any = None,
    *,
    event_shape: Sequence[int],
    pixels: bool,
    condition_size: int | None,
    steps: tuple[str, Any] = ("steps", 1),
) -> None:
    """Checks what a flow is to be trained or measured on.

    Args:
      x: Array, `Tensor`, or `tf.data.Dataset` of batches or of tuples of a batch, its
        conditions and its weights; anything else that yields batches passes.
      condition: Array or `Tensor` of conditions, or `None`.
      sample_weight: Array or `Tensor` of weights, or `None`.
      event_shape: Sequence of Python `int`s.
      pixels: Python `bool`, whether the values must be pixels in [0, 256).
      condition_size: Python `int`, number of classes or length of the vectors the flow
        is conditioned on; `None` if it is not.
      steps: Name and value of the argument that ends a data set without end.

    Raises:
      ValueError: If there are no examples or no end to them, if shapes or values are
        not those of the flow, if a condition is missing or one is given and not wanted.
    """
    if isinstance(x, tf.data.Dataset):
        _check_dataset(x, condition, event_shape, condition_size, steps)
    elif _is_array(x):
        x = np.asarray(x)
        _check_dtype(_tf_dtype(x.dtype))
        _check_shape(tf.TensorShape(x.shape), event_shape)
        if len(x) == 0:
            raise ValueError("x: expected examples, got none.")
        _check_values(x, pixels=pixels)
        _check_condition(condition, condition_size, count=len(x))
        if sample_weight is not None:
            _check_weights(sample_weight, count=len(x))
    elif isinstance(x, (*_NO_DATA, dict, type)) or not isinstance(
        x, (Iterable, keras.utils.PyDataset)
    ):
        raise ValueError(
            "x: expected an array, a Tensor or a tf.data.Dataset of batches, got "
            f"{shortened(x)}."
        )
    elif isinstance(x, keras.utils.PyDataset) and x.num_batches is None:
        _check_end(*steps)


def split_dict(x: Any, condition: Any, sample_weight: Any) -> Batch:
    """Returns the parts of a `dict` of arrays, or what is given if x is none.

    Raises:
      ValueError: If it has other keys than x, condition and sample_weight.
    """
    if not isinstance(x, dict):
        return Batch(x, condition, sample_weight)
    _check_keys(x)
    return Batch(**{"condition": condition, "sample_weight": sample_weight, **x})


def warn_of_made_over_pixels(x: Any) -> None:
    """Warns of floating pixels that were scaled or not dequantized.

    Args:
      x: Batch of events over pixels, or of what is no array.
    """
    if not tf.is_tensor(x) or not x.dtype.is_floating or tf.size(x) == 0:
        return
    largest = tf.reduce_max(x)
    if 0 < largest <= 1:
        _warn(
            f"x: expected pixels in [0, 256), got floats up to {float(largest)}: were "
            "they divided by 255? To the flow they are almost black."
        )
    elif largest > 1 and tf.reduce_all(tf.equal(x, tf.round(x))):
        _warn(
            "x: expected integers, or floats with dequantization noise, got floats "
            "that are whole numbers: a density has no bound at single points, and "
            "bits/dim mean nothing. Give them as uint8, and the model adds the noise."
        )


def _warn(message: str) -> None:
    # As of Keras's loop over batches, which called what called this.
    warnings.warn(message, stacklevel=6)


def _present(batch: Batch) -> dict[str, Any]:
    return {name: part for name, part in batch._asdict().items() if part is not None}


def _is_absent(spec: Any) -> bool:
    # TensorFlow has no public name for the type of what is always `None`.
    return spec is None or type(spec).__name__ == "NoneTensorSpec"


def _is_array(x: Any) -> bool:
    is_array = isinstance(x, np.ndarray) or tf.is_tensor(x) or hasattr(x, "__array__")
    return is_array and not isinstance(x, (*_NO_DATA, type))


def _check_keys(names: Iterable[str]) -> None:
    if "x" not in names or not set(names) <= set(_PARTS):
        raise ValueError(
            "x: expected batches alone, or with condition and sample_weight as a tuple "
            "or as a dict of x and condition or sample_weight, got a dict of "
            f"{shortened(sorted(map(str, names)))}."
        )


def _check_end(name: str, value: Any) -> None:
    if value is None:
        raise ValueError(
            f"{name}: expected how many batches to take of a data set without end, got "
            "None."
        )


def _check_dataset(
    x: tf.data.Dataset,
    condition: Any,
    event_shape: Sequence[int],
    condition_size: int | None,
    steps: tuple[str, Any],
) -> None:
    if condition is not None:
        raise ValueError(
            "condition: expected None beside a data set, which holds pairs "
            f"(x, condition) itself; got {type(condition).__name__}."
        )
    spec = x.element_spec
    if isinstance(spec, dict):
        _check_keys(spec)
        specs = [spec.get(name) for name in _PARTS]
    else:
        specs = list(spec) if isinstance(spec, tuple) else [spec]
    specs = [None if _is_absent(s) else s for s in specs]
    while specs and specs[-1] is None:
        specs.pop()
    has_condition = len(specs) > 1 and specs[1] is not None
    if has_condition != (condition_size is not None) or not 1 <= len(specs) <= 3:
        kind = "pairs (x, condition)" if condition_size else "batches of x alone"
        raise ValueError(
            f"x: expected a data set of {kind}, for condition_size is "
            f"{condition_size}, or of triples with sample_weight as the third; got "
            f"elements of {len(specs)} parts."
        )
    if isinstance(specs[0], tf.TensorSpec):
        _check_dtype(specs[0].dtype)
        _check_shape(specs[0].shape, event_shape)
    if condition_size is not None and isinstance(specs[1], tf.TensorSpec):
        _check_condition_kind(specs[1].dtype, specs[1].shape, condition_size)
    # Where the length is not known, one batch tells; elsewhere asking for one
    # could cost the filling of a shuffle buffer.
    length = int(x.cardinality())
    if length == tf.data.INFINITE_CARDINALITY:
        _check_end(*steps)
    first: list[Any] = [None] if length else []
    if length == tf.data.UNKNOWN_CARDINALITY:
        first = [unpack(element).x for element in x.take(1)]
    if not first:
        raise ValueError("x: expected batches, got an empty data set.")
    if tf.is_tensor(first[0]):
        _check_shape(first[0].shape, event_shape)


def _tf_dtype(dtype: Any) -> tf.DType:
    try:
        return tf.as_dtype(dtype)
    except TypeError:
        raise ValueError(f"x: expected real numbers, got dtype {dtype}.") from None


def _check_dtype(dtype: tf.DType) -> None:
    if not (dtype.is_floating or dtype.is_integer) or dtype.is_quantized:
        raise ValueError(f"x: expected real numbers, got dtype {dtype.name}.")


def _check_shape(shape: tf.TensorShape, event_shape: Sequence[int]) -> None:
    expected = tf.TensorShape([None, *event_shape])
    if not expected.is_compatible_with(shape):
        sizes = ", ".join(map(str, event_shape))
        raise ValueError(f"x: expected batches of shape (N, {sizes}), got {shape}.")


def _check_values(x: np.ndarray, *, pixels: bool) -> None:
    is_integer = x.dtype.kind in "iu"
    if not is_integer and not np.isfinite(x).all():
        for found, expected, kind in (
            (np.isnan(x), "numbers", "NaN"),
            (np.isinf(x), "finite numbers", "infinity"),
        ):
            if found.any():
                raise ValueError(
                    f"x: expected {expected}, got {kind} in {int(found.sum())} places."
                )
    # Dequantization can round 255.999... up to 256 in float32.
    if pixels and (x.min() < 0 or x.max() > (255 if is_integer else 256)):
        raise ValueError(
            f"x: expected pixels in [0, 256), got values from {x.min()} to {x.max()}."
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
    _check_count("condition", condition, count)
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


def _check_weights(sample_weight: Any, *, count: int) -> None:
    weights = checked_array("sample_weight", sample_weight)
    _check_count("sample_weight", weights, count)
    if weights.ndim > 1:
        raise ValueError(
            f"sample_weight: expected one for each of the {count} examples of x, got "
            f"shape {weights.shape}."
        )
    if not np.isfinite(weights).all():
        raise ValueError("sample_weight: expected finite numbers, got NaN or infinity.")
    if weights.min() < 0:
        raise ValueError(
            f"sample_weight: expected numbers of 0 or more, got {weights.min()}."
        )
    if weights.max() == 0:
        raise ValueError("sample_weight: expected some that are not 0, got none.")


def _check_count(name: str, values: np.ndarray, count: int) -> None:
    if values.ndim == 0 or len(values) != count:
        raise ValueError(
            f"{name}: expected one for each of the {count} examples of x, got "
            f"{len(values) if values.ndim else 'a single one'}."
        )
