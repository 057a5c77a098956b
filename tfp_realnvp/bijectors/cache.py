"""The cache that spares a second pass, made from one that is internal to TFP."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import record
from tensorflow_probability import bijectors as tfb
from tensorflow_probability.python.internal import cache_util


class OnePassCache(cache_util.BijectorCacheWithGreedyAttrs):
    """TFP's cache of one-pass bijectors, less the entries that must not be used.

    TFP keys an entry by the tensor object alone. The same object may come again
    after the weights have changed, under a `tf.GradientTape` that did not see how
    the entry came about, or in another graph: then the pass runs anew.
    """

    @property
    def storage(self) -> cache_util.EphemeralDict:
        """The entries: of eager mode, or of the graph that is being built.

        An entry holds its input, and through it the whole graph. Kept with the graph,
        the two can be collected together; TFP's own cache keeps every graph, and every
        flow that was ever traced, until the end of the process.
        """
        if tf.executing_eagerly():
            return self._eager_storage
        graph = tf.compat.v1.get_default_graph()
        if not hasattr(graph, "_tfp_realnvp_cache"):
            graph._tfp_realnvp_cache = cache_util.EphemeralDict()
        return graph._tfp_realnvp_cache

    @storage.setter
    def storage(self, value: cache_util.EphemeralDict) -> None:
        self._eager_storage = value

    def __get__(
        self, bijector: tfb.Bijector | None, bijector_class: type | None = None
    ) -> OnePassCache:
        bound = super().__get__(bijector, bijector_class)
        bound.storage = self._eager_storage
        return bound

    def _get_or_create_edge(
        self, input: tf.Tensor, forward_name: str, kwargs: dict[str, Any]
    ) -> Any:
        edge = super()._get_or_create_edge(input, forward_name, kwargs)
        if edge.output_ref is None:
            return edge
        if not edge.output_ref.alive:
            edge.attributes.clear()
        elif not self._is_valid(edge.attributes, input, kwargs):
            for ref in (edge.input_ref, edge.output_ref):
                ref.cancel()
                self.storage.pop(ref, None)
            return super()._get_or_create_edge(input, forward_name, kwargs)
        return edge

    @staticmethod
    def attributes(
        bijector: tfb.Bijector, ildj: tf.Tensor, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """Returns what is to be kept of a pass: its result, and when it holds.

        Args:
          bijector: The bijector that made the pass.
          ildj: Its inverse log-determinant.
          kwargs: The keyword arguments of the pass.
        """
        if not tf.executing_eagerly():
            return {"ildj": ildj}
        return {
            "ildj": ildj,
            "under_tape": record.could_possibly_record(),
            "recorded": record.should_record_backprop([ildj]),
            # Reading a variable shares its buffer: this copies nothing.
            "variables": [v.read_value() for v in bijector.variables],
            # Arrays are mutable, and the key knows them by their identity.
            "arrays": {
                name: value.copy()
                for name, value in kwargs.items()
                if isinstance(value, np.ndarray)
            },
        }

    def _is_valid(
        self, attributes: dict[str, Any], input: tf.Tensor, kwargs: dict[str, Any]
    ) -> bool:
        log_det = attributes["ildj"]
        if not tf.executing_eagerly():
            return _is_reachable(log_det)
        if not isinstance(log_det, tf.__internal__.EagerTensor):
            return False
        if record.could_possibly_record():
            # The tape of then has ended, or there was none but one would matter now.
            if attributes["recorded"] and not record.should_record_backprop([log_det]):
                return False
            if not attributes["under_tape"] and (
                self.bijector.trainable_variables
                or record.should_record_backprop([input])
            ):
                return False
        arrays = attributes["arrays"]
        if not all(np.array_equal(arrays[name], kwargs[name]) for name in arrays):
            return False
        then, now = attributes["variables"], self.bijector.variables
        return all(_are_same(a, b) for a, b in zip(then, now, strict=True))


def _are_same(first: tf.Tensor, second: tf.Tensor) -> bool:
    # A NaN that has stayed NaN has not changed, though it is not equal to itself.
    both_nan = (first != first) & (second != second)
    return bool(tf.reduce_all((first == second) | both_nan))


def _is_reachable(tensor: tf.Tensor) -> bool:
    """Whether `tensor` belongs to the graph being built or to one around it."""
    if isinstance(tensor, tf.__internal__.EagerTensor):
        return False
    graph = tf.compat.v1.get_default_graph()
    while graph is not None and graph is not tensor.graph:
        graph = getattr(graph, "outer_graph", None)
    return graph is not None
