"""The state that a pass depends on beside its arguments, and whether it changed."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.eager import forwardprop_util, record, tape

# Operations on a variable's handle that leave the variable as it is.
_READS = {
    "ReadVariableOp",
    "ResourceGather",
    "ResourceGatherNd",
    "VariableShape",
    "VarIsInitializedOp",
}
# These may write variables that are not among their inputs.
_PYTHON = {"EagerPyFunc", "PyFunc"}


@dataclasses.dataclass(frozen=True)
class Weights:
    """All state that passes read beside their arguments.

    Not a tuple, in which TensorFlow's checkpoints would look for variables.
    """

    of_layers: Sequence[keras.Variable]
    variables: Sequence[tf.Variable]  # Those of layers among them.
    tensors: Sequence[tf.Tensor]  # Parameters that are not variables.

    def and_also(self, variables: Sequence[tf.Variable]) -> Weights:
        """Adds other variables that were read, for instance by a user's function."""
        known = {id(handle) for handle in self.handles()}
        # Not integers: they are counters, and assigning to them also reports them.
        floating = [v for v in variables if v.dtype.is_floating]
        others = [v for v in floating if id(v.handle) not in known]
        return dataclasses.replace(self, variables=[*self.variables, *others])

    def handles(self) -> list[tf.Tensor]:
        """Returns the handles of the variables, on a replica those of its copies."""
        if not tf.distribute.in_cross_replica_context():
            return [v.handle for v in self.variables]
        return [c.handle for v in self.variables for c in getattr(v, "values", [v])]

    def seen(self) -> list[Any]:
        """Returns the handles, and what layers read in a `keras.StatelessScope`."""
        return [*(v.value for v in self.of_layers), *self.handles()]

    def values(self) -> list[tf.Tensor]:
        """Returns the values, in eager mode; they share the variables' buffers."""
        with record.stop_recording():
            return [v.read_value() for v in self.variables]


class Moment:
    """The state at the end of a pass: weights, and tapes that recorded the pass."""

    def __init__(self, weights: Weights, inputs: Sequence[tf.Tensor]):
        self._weights = weights
        self._seen = weights.seen()
        self._values = weights.values() if tf.executing_eagerly() else None
        self._num_operations = len(_operations())
        # In a `keras.StatelessScope` layers see tensors.
        tensors = [seen for seen in self._seen if isinstance(seen, tf.Tensor)]
        self._tapes = _Tapes([*inputs, *weights.tensors, *tensors])

    def is_now(self, asked: tf.Tensor) -> bool:
        """Whether a new pass, from or to `asked`, would find the same state."""
        # Outside of replicas there are all replicas' handles: their number differs.
        if list(map(id, self._weights.seen())) != list(map(id, self._seen)):
            return False
        # Tapes and other observers of variables must see that all are read.
        tell_which_are_trainable(self._weights.of_layers)
        tape.variables_accessed(self._weights.variables)
        return self._tapes.would_record(asked) and not self._is_written()

    def _is_written(self) -> bool:
        """Whether one of the variables may have been written since."""
        if self._values is not None:
            then_and_now = zip(self._values, self._weights.values(), strict=True)
            return not all(_same_bytes(then, now) for then, now in then_and_now)
        handles = {id(handle) for handle in self._weights.handles()}
        since = _operations()[self._num_operations :]
        return any(_may_write(operation, handles) for operation in since)


class _Tapes:
    """The tapes that record a pass, which reads `known` tensors.

    Tapes that recorded the pass and are still recording watch one of its inputs, so
    they would record a new pass. If they are as many as all tapes that would, they are
    the same. They must also watch the same tensors: tapes never stop watching.
    """

    def __init__(self, known: Sequence[tf.Tensor]):
        self._known = known
        self._witness: tf.Tensor | None = None
        self._count, self._watched, self._has_tangents = 0, [], False
        if record.could_possibly_record():
            self._witness = tf.zeros([])
            self._count = _num_watching(known, self._witness)
            self._watched = _times_watched(known, self._count)
            self._has_tangents = have_tangents(known)

    def would_record(self, asked: tf.Tensor) -> bool:
        """Whether exactly these tapes would record a new pass now."""
        if self._has_tangents:
            return False
        if not record.could_possibly_record():
            return self._count == 0
        read = [asked, *self._known]
        if have_tangents(read):
            return False
        watching = _num_watching(read)
        if self._witness is None:
            return watching == 0
        return (
            _num_watching([self._witness]) == watching == self._count
            and _times_watched(self._known, watching) == self._watched
        )


def tell_which_are_trainable(weights: Sequence[keras.Variable]) -> None:
    """Tells variables whether Keras trains them, as TFP and tapes ask variables."""
    for weight in weights:
        # Not the value that a `keras.StatelessScope` has in their place.
        value = weight._value
        for variable in (value, *getattr(value, "values", ())):
            variable._trainable = weight.trainable


def snapshot(argument: Any) -> Any:
    """Returns a copy of a keyword argument, as arrays and lists may change later."""
    is_mutable = isinstance(argument, (np.ndarray, list, tuple))
    return np.array(argument) if is_mutable else argument


def is_same(then: Any, now: Any) -> bool:
    """Whether a keyword argument still equals its `snapshot`."""
    if isinstance(then, np.ndarray):
        if not isinstance(now, (np.ndarray, list, tuple)):
            return False
        now = np.asarray(now)
        alike = then.dtype == now.dtype and then.shape == now.shape
        return alike and _same_bytes(then, now)
    if isinstance(now, tf.Tensor):
        return then is now
    # Any other object may have changed.
    is_plain = now is None or isinstance(now, (bool, int, float, str, tf.DType))
    return is_plain and type(then) is type(now) and then == now


def _same_bytes(first: Any, second: Any) -> bool:
    # Bytes, so that NaN equals NaN.
    first, second = (np.asarray(a).reshape(-1).view(np.uint8) for a in (first, second))
    return first.ctypes.data == second.ctypes.data or np.array_equal(first, second)


def have_tangents(tensors: Sequence[tf.Tensor]) -> bool:
    """Whether a `tf.autodiff.ForwardAccumulator` follows one of the tensors."""
    return bool(forwardprop_util.pack_tangents(list(tensors)).tangents)


def _times_watched(tensors: Sequence[tf.Tensor], num_tapes: int) -> list[int]:
    """Returns how many tapes watch each of the tensors, if so many watch any."""
    if num_tapes < 2:
        return [num_tapes and int(record.should_record_backprop([t])) for t in tensors]
    output = tf.zeros([])
    return [_num_watching([tensor], output) for tensor in tensors]


def _num_watching(tensors: Sequence[tf.Tensor], output: tf.Tensor | None = None) -> int:
    """Returns how many of the recording tapes watch one of the tensors.

    TensorFlow does not tell, but each of them keeps a reference to the gradient of an
    operation that it records, here of one from `tensors` to `output`.
    """

    def gradient(*_: Any) -> None:
        raise AssertionError("Nobody differentiates what nothing depends on.")

    # Held until they are counted: tapes forget operations whose results are gone.
    output = tf.zeros([]) if output is None else output
    before = sys.getrefcount(gradient)
    record.record_operation_backprop_only("pass", [output], list(tensors), gradient)
    return sys.getrefcount(gradient) - before


def _operations() -> list[tf.Operation]:
    if tf.executing_eagerly():
        return []
    return tf.compat.v1.get_default_graph().get_operations()


def _may_write(operation: tf.Operation, handles: set[int]) -> bool:
    """Whether an operation has one of the handles, or may have, and not just reads."""
    if operation.type in _READS:
        return False
    resources = (t for t in operation.inputs if t.dtype == tf.resource)
    origins = [_origin(tensor) for tensor in resources]
    return operation.type in _PYTHON or any(
        origin is None or id(origin) in handles for origin in origins
    )


def _origin(tensor: tf.Tensor) -> tf.Tensor | None:
    """Returns the eager tensor that a graph has captured, `None` if there is none."""
    while tf.is_symbolic_tensor(tensor):
        captures = getattr(tensor.graph, "captures", [])
        outer = {inside.name: outside for outside, inside in captures}
        if tensor.name not in outer:
            return None
        tensor = outer[tensor.name]
    return tensor
