"""The oracle: a right answer or a clear error, within a time limit."""

import contextlib
import dataclasses
import faulthandler
import io
import os
import pathlib
import re
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from hypothesis import strategies as st

SECONDS = 30
# What a user is told of an argument. Errors of internals (KeyError, AttributeError,
# IndexError, MemoryError, ...) are none of these.
CLEAR = (
    ValueError,
    TypeError,
    OSError,
    FloatingPointError,
    ImportError,
    tf.errors.InvalidArgumentError,
)
# Methods of TFP convert their argument before anything of ours sees it; these say
# what could not be converted into which dtype.
_BY_TFP = re.compile(
    r"Cannot convert|Can't convert|can't convert|convert a value|Failed to convert|"
    r"Tensor conversion requested dtype|non-rectangular|Can.t be converted|"
    r"could not convert string|must be real number|Expected .* got|"
    r"Value out of range|out of range|type of value|convert non-finite|"
    r"unbound method generic.__array__|to a TensorFlow DType|"
    r"Error converting unicode|out of bounds for int32|too large to convert|"
    r"cannot convert|TypeError: object of type|unsupported.* dtype",
)


def given(good: Mapping[str, Any]) -> dict[str, st.SearchStrategy]:
    """Returns values by name as strategies; what is one already stays."""
    return {
        name: value if isinstance(value, st.SearchStrategy) else st.just(value)
        for name, value in good.items()
    }


@dataclasses.dataclass(frozen=True)
class Entry:
    """A public entry, and what it is given.

    Attributes:
      call: Takes the arguments by name.
      good: Strategies of arguments that are right.
      bad: Strategies of arguments that are mostly wrong; those not named get junk.
      check: Takes the result and the arguments, and raises if it is no right answer.
      names: Further words one of which an error may name.
      by_tfp: Whether TFP converts arguments itself.
      folder: Whether the entry takes `folder`, an empty folder which must not hold any
        file of the writer's temporary names afterwards, and nothing after an error.
      always_bad: Whether good arguments alone take too long to try.
      prepare: Makes what all calls share, which is no part of their time.
    """

    call: Callable[..., Any]
    good: Mapping[str, st.SearchStrategy]
    bad: Mapping[str, st.SearchStrategy] = dataclasses.field(default_factory=dict)
    check: Callable[[Any, Mapping[str, Any]], None] = lambda result, arguments: None
    names: tuple[str, ...] = ()
    by_tfp: bool = False
    folder: bool = False
    always_bad: bool = False
    prepare: Callable[[], Any] = lambda: None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of an input: an answer, or an error of some type."""

    kind: str
    fault: str | None = None


@st.composite
def inputs(draw, entry: Entry, junk: st.SearchStrategy) -> dict[str, Any]:
    """Arguments of which one or two are mostly wrong, or rarely none."""
    names = sorted(entry.good)
    count = draw(st.sampled_from([1] * 6 + [2] * 3 + [0]))
    if entry.always_bad:
        count = max(1, count)
    chosen = draw(
        st.lists(st.sampled_from(names), unique=True, min_size=count, max_size=count)
        if len(names) > 1
        else st.just(names[:count])
    )
    return {
        name: draw(entry.bad.get(name, junk) if name in chosen else entry.good[name])
        for name in names
    }


def outcome(entry: Entry, arguments: Mapping[str, Any], folder: Any = None) -> Outcome:
    """Calls the entry, and judges what comes of it."""
    kwargs = {} if folder is None else {"folder": folder}
    entry.prepare()
    try:
        with (
            time_limit(SECONDS),
            contextlib.redirect_stdout(io.StringIO()),
            np.errstate(all="ignore"),
        ):
            result = entry.call(**arguments, **kwargs)
    except TimeLimitError:
        return Outcome("hang", f"took more than {SECONDS} s")
    except Exception as error:
        fault = _fault(entry, arguments, error)
        if fault is None and folder is not None and any(os.scandir(folder)):
            left = [p.name for p in os.scandir(folder)]
            fault = f"left {left} behind after {type(error).__name__}: {error}"
        return Outcome(type(error).__name__, fault)
    try:
        entry.check(result, arguments)
        if folder is not None:
            hidden = [p.name for p in os.scandir(folder) if p.name.startswith(".")]
            assert not hidden, f"left {hidden} behind"
    except Exception as error:
        return Outcome("answer", f"wrong answer: {type(error).__name__}: {error}")
    return Outcome("answer")


def _fault(entry: Entry, arguments: Mapping[str, Any], error: Exception) -> str | None:
    message = getattr(error, "message", None) or str(error)
    said = f"{type(error).__name__}: {message[:300]}"
    if entry.by_tfp and _is_by_tfp(error, message):
        return None
    if not isinstance(error, CLEAR):
        return f"no clear error: {said}"
    if not message.strip():
        return f"an error without words: {said}"
    names = (*arguments, *entry.names)
    if any(re.search(rf"\b{re.escape(name)}\b", message) for name in names):
        return None
    return f"names no argument: {said}"


def _is_by_tfp(error: Exception, message: str) -> bool:
    kinds = (ValueError, TypeError, OverflowError, tf.errors.InvalidArgumentError)
    # What an object raises when TensorFlow asks it for an array is its own.
    is_own = isinstance(error, RuntimeError) and message in ("no array", "no repr")
    return is_own or (isinstance(error, kinds) and bool(_BY_TFP.search(message)))


class TimeLimitError(BaseException):
    """An input took too long."""


@contextlib.contextmanager
def time_limit(seconds: int):
    """Ends what takes longer, and the process if it cannot be ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(signum, frame):
        raise TimeLimitError

    old = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    # In the midst of TensorFlow no signal is heard.
    faulthandler.dump_traceback_later(3 * seconds, exit=True, file=_STDERR)
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, old)


# Pytest may replace the stream by one without a file number.
_STDERR = os.fdopen(os.dup(2), "w")


def assert_numbers(result: Any) -> None:
    """Checks that arrays, tensors and numbers, however nested, hold no NaN."""
    for part in tf.nest.flatten(result):
        if isinstance(part, (str, bytes, bool, pathlib.Path)) or part is None:
            continue
        array = np.asarray(part)
        if array.dtype.kind in "fc":
            assert not np.isnan(array).any(), "NaN is no answer"


def assert_pictures(result: Any) -> None:
    """Checks for `uint8` pictures."""
    assert isinstance(result, np.ndarray) and result.dtype == np.uint8
    assert result.size > 0 and result.ndim >= 3
