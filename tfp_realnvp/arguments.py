"""Checks of arguments, with errors that name the argument and say what was expected."""

from __future__ import annotations

import importlib
import math
import numbers
import os
import pathlib
import reprlib
from collections.abc import Collection
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Every other module imports this one.
if keras.config.backend() != "tensorflow":
    raise ImportError(
        "tfp_realnvp needs Keras on TensorFlow, got the backend "
        f"{keras.config.backend()!r}; set KERAS_BACKEND=tensorflow, or backend in "
        "~/.keras/keras.json, before Keras is imported."
    )

# The largest int64, the dtype of TensorFlow's sizes.
_LARGEST = 2**63 - 1
# The largest seed of Keras and of NumPy's legacy generator.
LARGEST_SEED = 2**32 - 1
# The largest finite float32.
_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_MOST_AXES = 32
# Below this, memory is not queried, which takes time: any machine has as much.
_ALWAYS_FITS = 2**28
_CONTROL_GROUP = pathlib.Path("/sys/fs/cgroup")
_IN_WORDS = {1: "a positive int", 0: "a non-negative int"}
_SHORT = reprlib.Repr()
_SHORT.maxstring, _SHORT.maxother = 60, 120


def shortened(value: Any) -> str:
    """Returns a short description of a value, for errors."""
    if isinstance(value, np.ndarray) and value.size > 1:
        return f"{value.dtype} of shape {value.shape}"
    if tf.is_tensor(value):
        return f"{value.dtype.name} of shape {value.shape}"
    try:
        return _SHORT.repr(value)
    except Exception:
        # Other people's classes can fail here, which must not hide the actual error.
        return f"an object of class {type(value).__name__}"


def check_int(
    name: str, value: Any, *, least: int = 1, most: int = _LARGEST, unit: str = ""
) -> None:
    """Raises `ValueError` unless `value` is an integer from `least` to `most`.

    Args:
      name: Python `str`, of the argument.
      value: The argument.
      least: Smallest valid value.
      most: Largest valid value.
      unit: Python `str`, appended to what is expected.
    """
    is_int = _is_int(value)
    if is_int and least <= value <= most:
        return
    if most < _LARGEST:
        expected = f"an int from {least} to {most}"
    elif is_int and value > most:
        expected = f"an int up to {most}"
    else:
        expected = _IN_WORDS.get(least, f"at least {least}")
    raise ValueError(f"{name}: expected {expected}{unit}, got {shortened(value)}.")


def check_number(
    name: str,
    value: Any,
    *,
    least: float = -_LARGEST_FLOAT,
    most: float = _LARGEST_FLOAT,
    expected: str = "a finite number",
) -> None:
    """Raises `ValueError` unless `value` is a finite number from `least` to `most`.

    Args:
      name: Python `str`, of the argument.
      value: The argument.
      least: Smallest valid value.
      most: Largest valid value.
      expected: Python `str`, description of valid values.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        fits = is_number and math.isfinite(value) and least <= value <= most
    except OverflowError:
        fits = False
    if not fits:
        raise ValueError(f"{name}: expected {expected}, got {shortened(value)}.")


def check_seed(
    name: str, value: Any, *, most: int = LARGEST_SEED, optional: bool = True
) -> None:
    """Raises `ValueError` unless `value` is a seed, or `None` if `optional`."""
    if value is None and optional:
        return
    if _is_int(value) and value < 0:
        raise ValueError(f"{name}: expected 0 or more, got {value}.")
    check_int(name, value, least=0, most=most)


def check_flag(name: str, value: Any) -> None:
    """Raises `ValueError` unless `value` is `True` or `False`."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name}: expected True or False, got {shortened(value)}.")


def check_text(name: str, value: Any) -> None:
    """Raises `ValueError` unless `value` is a `str`."""
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected a str, got {shortened(value)}.")


def check_choice(name: str, value: Any, choices: Collection[Any]) -> None:
    """Raises `ValueError` unless `value` is `None` or a `str` among `choices`."""
    if (value is None or isinstance(value, str)) and value in choices:
        return
    *most, last = (repr(choice).replace("'", '"') for choice in choices)
    listed = f"{', '.join(most)} or {last}" if most else last
    raise ValueError(f"{name}: expected {listed}, got {shortened(value)}.")


def check_path(name: str, value: Any) -> None:
    """Raises `ValueError` unless `value` can be the path of a file."""
    is_path = isinstance(value, (str, os.PathLike)) and os.fspath(value) != ""
    if not is_path or "\0" in str(value):
        raise ValueError(f"{name}: expected a path, got {shortened(value)}.")


def checked_shape(
    name: str, value: Any, *, expected: str, tensors: bool = False
) -> tuple[Any, ...]:
    """Returns a shape of positive dimensions as a `tuple`.

    Args:
      name: Python `str`, of the argument.
      value: Sequence of ints.
      expected: Python `str`, description of valid shapes.
      tensors: Python `bool`, whether scalar `Tensor`s may replace ints.

    Raises:
      ValueError: If `value` is not such a shape.
    """
    message = f"{name}: expected {expected}, got {shortened(value)}."
    if isinstance(value, (str, bytes, dict, set, frozenset)):
        raise ValueError(message)
    try:
        shape = tuple(value)
    except (TypeError, ValueError) as error:
        raise ValueError(message) from error
    if len(shape) > _MOST_AXES or not all(map(_is_dimension, shape)):
        raise ValueError(message)
    if not tensors and any(map(tf.is_tensor, shape)):
        raise ValueError(message)
    return tuple(side if tf.is_tensor(side) else int(side) for side in shape)


def checked_array(
    name: str, value: Any, *, kinds: str = "uif", expected: str = "an array of numbers"
) -> np.ndarray:
    """Returns `value` as an array whose dtype is one of `kinds` or bfloat16.

    Args:
      name: Python `str`, of the argument.
      value: Array, `Tensor`, or nested sequence of numbers.
      kinds: Letters as in `np.dtype.kind`.
      expected: Python `str`, description of valid arrays.

    Raises:
      ValueError: If `value` is not such an array.
    """
    try:
        array = np.asarray(value)
    except Exception as error:
        # Ragged sequences, and any error of foreign objects.
        raise ValueError(
            f"{name}: expected {expected}, got {shortened(value)}."
        ) from error
    # NumPy has no kind for bfloat16.
    if array.dtype.kind not in kinds and array.dtype != tf.bfloat16.as_numpy_dtype:
        got = array.dtype if array.dtype.kind != "O" else shortened(value)
        raise ValueError(f"{name}: expected {expected}, got {got}.")
    return array


def check_fits(name: str, value: Any, needed: float, what: str) -> None:
    """Raises `ValueError` if something does not fit in the memory of the host.

    Otherwise the system would kill the process. A full GPU raises its own error. If the
    available memory is unknown, everything passes.

    Args:
      name: Python `str`, of the argument that sets the size.
      value: The argument.
      needed: Approximate number of bytes.
      what: Python `str`, what takes them, in the plural.
    """
    available = available_bytes() if needed >= _ALWAYS_FITS else None
    if available is not None and needed > available:
        raise ValueError(
            f"{name}: expected {what} that fit in memory, got {shortened(value)}, for "
            f"which they take about {needed / 2**30:.3g} GiB; "
            f"{available / 2**30:.3g} GiB are available."
        )


def available_bytes() -> int | None:
    """Returns the number of bytes that this process can still take, if known."""
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":") for line in lines)
    available = int(fields["MemAvailable"].split()[0]) * 1024
    try:
        limit = int((_CONTROL_GROUP / "memory.max").read_text())
        used = int((_CONTROL_GROUP / "memory.current").read_text())
        statistics = (_CONTROL_GROUP / "memory.stat").read_text().split()
    except (OSError, ValueError):  # No container, or one without a limit: "max".
        return available
    # Cached files count as used, but are released on demand.
    cached = dict(zip(statistics[::2], map(int, statistics[1::2]), strict=True))
    used -= cached.get("inactive_file", 0) + cached.get("active_file", 0)
    return min(available, max(0, limit - max(0, used)))


def require(module: str, purpose: str, *, extra: str) -> ModuleType:
    """Returns the imported `module`.

    Raises:
      ImportError: If it is not installed, naming the extra that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs {module.partition('.')[0]}, which is not installed: "
            f"pip install 'tfp_realnvp[{extra}]'."
        ) from error


def _is_int(value: Any) -> bool:
    # NumPy's integers overflow in products if they are large or have few bits.
    if isinstance(value, (np.int32, np.int64)):
        return abs(int(value)) < 2 ** (4 * value.itemsize - 1)
    return isinstance(value, int) and not isinstance(value, bool)


def _is_dimension(value: Any) -> bool:
    if tf.is_tensor(value):
        return value.dtype.is_integer and value.shape.rank == 0
    is_int = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return is_int and 1 <= value <= _LARGEST
