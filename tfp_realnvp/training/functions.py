"""The functions that Keras calls for each batch of `fit`, `evaluate` and `predict`.

They number the batches; in evaluation, the number selects the dequantization noise.
"""

from __future__ import annotations

import contextlib
import contextvars
import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context

from tfp_realnvp.nets.parts import global_batch
from tfp_realnvp.training.inputs import unpack
from tfp_realnvp.training.update import first_replica

# Each thread has its own, so that concurrent evaluations do not interfere.
_COUNT: contextvars.ContextVar[Iterator[int]] = contextvars.ContextVar("count")
_NUMBER: contextvars.ContextVar[Any] = contextvars.ContextVar("number", default=0)


def dequantized(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns floating images plus dequantization noise in [0, 1) (Section 4.1).

    The noise of an example depends on its position in the global batch, whichever
    replica processes it.
    """
    batch = global_batch(tf.shape(images)[0])
    shape = tf.concat([[batch.size], tf.shape(images)[1:]], axis=0)
    noise = tf.random.stateless_uniform(shape, seed, dtype=images.dtype)
    return images + noise[batch.start : batch.start + tf.shape(images)[0]]


@contextlib.contextmanager
def _set(variable: contextvars.ContextVar[Any], value: Any) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def counted_batches() -> contextlib.AbstractContextManager[None]:
    """Numbers the batches inside from 0, in the calling thread only."""
    return _set(_COUNT, itertools.count())


def batch_number() -> Any:
    """Returns the number of the current batch, 0 outside of `counted_batches`."""
    return _NUMBER.get()


def _next_number() -> tf.Tensor:
    return tf.constant(next(_COUNT.get(itertools.count())))


def step_function(
    model: Any, after_batch: Callable[..., Any], *, training: bool = False
) -> Callable[[Iterator[Any]], dict[str, Any]]:
    """Returns a function that trains or tests on some batches, on all replicas.

    Keras's own functions reduce the replicas' outputs in a way that fails on several
    workers, and do not expose the batch. Here `after_batch` takes the batch and the
    step's outputs, and returns the logs.
    """
    step = model.train_step if training else model.test_step
    plain = _on_all_replicas(model, step, first_replica)
    on_batch = _compiled(model, plain)
    # A nested function captures every variable once more. XLA, which cannot compile
    # iterators, needs one.
    inside = on_batch if getattr(model, "jit_compile", None) else plain

    def on_iterator(iterator: tf.data.Iterator, number: tf.Tensor) -> Any:
        # This function sees no batch's own size, so it is traced only once.
        batch = _packed(iterator.get_next())
        return batch, inside(batch, number)

    if not model.run_eagerly:
        on_iterator = tf.function(on_iterator, autograph=False)

    def run(iterator: Iterator[Any]) -> tuple[Any, dict[str, Any]]:
        if isinstance(iterator, (tf.data.Iterator, tf.distribute.DistributedIterator)):
            return on_iterator(iterator, _next_number())
        batch = _spread(_packed(next(iterator)), model.distribute_strategy)
        return batch, on_batch(batch, _next_number())

    def run_some(iterator: Iterator[Any]) -> dict[str, Any]:
        logs: dict[str, Any] = {}
        for done in range(model.steps_per_execution):
            try:
                with as_traced() if training else contextlib.nullcontext():
                    batch, outputs = run(iterator)
            except (StopIteration, tf.errors.OutOfRangeError):
                if done == 0:
                    raise
                break
            logs = after_batch(batch, outputs)
        return logs

    return run_some


def prediction_function(
    model: Any, after_batch: Callable[[Any], Any]
) -> Callable[[Sequence[Any]], tf.Tensor]:
    """Returns a function that predicts one value for each example of some batches."""
    on_batch = _compiled(model, _on_all_replicas(model, model.predict_step, _joined))

    def run_all(batches: Sequence[Any]) -> tf.Tensor:
        outputs = []
        for batch in batches:
            batch = _spread(_packed(batch), model.distribute_strategy)
            outputs.append(on_batch(batch, _next_number()))
            after_batch(batch)
        return tf.concat(outputs, axis=0)

    return run_all


def _on_all_replicas(
    model: Any, step: Callable[[Any], Any], reduce: Callable[..., Any]
) -> Callable[[Any, tf.Tensor], Any]:
    """Returns a function of a batch and its number that runs a step on all replicas."""
    strategy = model.distribute_strategy

    def on_replica(batch: Any, number: tf.Tensor) -> Any:
        # Without a next batch nothing may change, the count of steps for instance.
        parts = [part for part in tf.nest.flatten(batch) if part is not None]
        with _set(_NUMBER, number), tf.control_dependencies(parts):
            return step(batch)

    def on_batch(batch: Any, number: tf.Tensor) -> Any:
        with _without_collector():
            return reduce(strategy, strategy.run(on_replica, args=(batch, number)))

    return on_batch


def _compiled(model: Any, on_batch: Callable[..., Any]) -> Callable[..., Any]:
    if model.run_eagerly:
        return on_batch
    return tf.function(
        on_batch,
        autograph=False,
        reduce_retracing=True,
        jit_compile=getattr(model, "jit_compile", None) or None,
    )


@contextlib.contextmanager
def as_traced() -> Iterator[None]:
    """Runs functions as traced, without TensorFlow's graph optimizer, if on a CPU.

    There the optimizer does not make training steps any faster, and takes a third of
    the time to the first step.
    """
    if tf.config.list_logical_devices("GPU"):
        yield
        return
    # The options of this thread. The public ones are shared by all threads: two models
    # trained concurrently would restore each other's.
    options = context.context().function_call_options
    before, config = (
        tf.compat.v1.ConfigProto.FromString(options.config_proto_serialized)
        for _ in range(2)
    )
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    options.config_proto_serialized = config
    try:
        yield
    finally:
        options.config_proto_serialized = before


def _joined(strategy: tf.distribute.Strategy, values: Any) -> tf.Tensor:
    parts = strategy.experimental_local_results(values)
    if len(parts) == strategy.num_replicas_in_sync:
        # `gather` crashes the process if no replica has examples.
        return tf.concat(parts, axis=0)
    return strategy.gather(values, axis=0)


def _spread(batch: Any, strategy: tf.distribute.Strategy) -> Any:
    """Splits a batch among the replicas, unless it is split already.

    Keras passes the whole batch of `train_on_batch` and the like to every replica.
    Several workers each have their own data, which stay as they are.
    """
    values, count = tf.nest.flatten(batch), strategy.num_replicas_in_sync
    is_spread = isinstance(values[0], tf.distribute.DistributedValues)
    is_mirrored = isinstance(strategy, tf.distribute.MirroredStrategy)
    if count == 1 or is_spread or not is_mirrored:
        return batch

    def part_of(context: tf.distribute.ReplicaContext) -> Any:
        size = -(-len(values[0]) // count)
        start = size * context.replica_id_in_sync_group
        return tf.nest.map_structure(
            lambda value: tf.convert_to_tensor(value[start : start + size]), batch
        )

    return strategy.experimental_distribute_values_from_function(part_of)


def _packed(data: Any) -> Any:
    """Returns a batch in Keras's form: x, (x, condition) or with weights too."""
    x, condition, weight = unpack(data)
    if weight is not None:
        return x, condition, weight
    return x if condition is None else (x, condition)


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    # Tracing a step creates tens of thousands of objects, and Python's garbage
    # collector would scan all existing ones again and again: a tenth of the time in a
    # fresh process, most of it in a process with many models.
    paused = tf.inside_function() and gc.isenabled()
    if paused:
        gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()
