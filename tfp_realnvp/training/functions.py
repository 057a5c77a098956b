"""What Keras calls for every batch of `fit` and `evaluate`."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfp_realnvp.training.update import first_replica

if TYPE_CHECKING:
    from tfp_realnvp.training.flow_model import FlowModel


class _StepFunction:
    """Runs a step of a model on all replicas.

    Keras's own functions reduce what replicas return in a way that fails on several
    workers, and do not let the batch be seen.

    Args:
      model: The `FlowModel`.
      step: What each replica does with its part of a batch; what it returns must be
        the same on all replicas.
    """

    def __init__(self, model: FlowModel, step: Any):
        self._model = model
        strategy = model.distribute_strategy

        def on_batch(batch: Any) -> dict[str, Any]:
            with _without_collector():
                return first_replica(strategy, strategy.run(step, args=(batch,)))

        def on_iterator(iterator: tf.data.Iterator) -> tuple[Any, dict[str, Any]]:
            # Here the function sees no batch's own size, and is traced once for all.
            batch = iterator.get_next()
            return batch, on_batch(batch)

        if not model.run_eagerly:
            jit_compile = model.jit_compile or None
            on_batch = tf.function(
                on_batch,
                autograph=False,
                reduce_retracing=True,
                jit_compile=jit_compile,
            )
            on_iterator = tf.function(on_iterator, autograph=False)
        self._on_batch, self._on_iterator = on_batch, on_iterator

    def __call__(self, iterator: Iterator[Any]) -> dict[str, Any]:
        logs: dict[str, Any] = {}
        for done in range(self._model.steps_per_execution):
            try:
                batch, outputs = self._run(iterator)
            except (StopIteration, tf.errors.OutOfRangeError):
                if done == 0:
                    raise
                break
            logs = self.after_batch(batch, outputs)
        return logs

    def _run(self, iterator: Iterator[Any]) -> tuple[Any, dict[str, Any]]:
        if isinstance(iterator, (tf.data.Iterator, tf.distribute.DistributedIterator)):
            return self._on_iterator(iterator)
        batch = next(iterator)
        return batch, self._on_batch(batch)

    def after_batch(self, batch: Any, logs: dict[str, Any]) -> dict[str, Any]:
        return logs


class EvaluationFunction(_StepFunction):
    """Evaluates a `FlowModel` on the next batch of an iterator."""

    def __init__(self, model: FlowModel):
        super().__init__(model, model.test_step)


class TrainingFunction(_StepFunction):
    """Trains a `FlowModel` on the next batch of an iterator and watches over it."""

    def __init__(self, model: FlowModel):
        super().__init__(model, model.train_step)

    def after_batch(self, batch: Any, logs: dict[str, Any]) -> dict[str, Any]:
        self._model.after_step(batch, logs.pop("report"))
        return logs


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    # A step is traced into tens of thousands of objects, and Python's collector would
    # go through all that there are, again and again: a tenth of the time in a process
    # that has done nothing else, most of it in one that has many models.
    paused = tf.inside_function() and gc.isenabled()
    if paused:
        gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()
