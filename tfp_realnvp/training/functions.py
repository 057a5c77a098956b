"""What Keras calls for every batch of `fit`, `evaluate` and `predict`.

Batches are numbered, and the number decides which noise an evaluation adds to images.
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

# Both are each thread's own, so that evaluations side by side do not mix.
_COUNT: contextvars.ContextVar[Iterator[int]] = contextvars.ContextVar("count")
_NUMBER: contextvars.ContextVar[Any] = contextvars.ContextVar("number", default=0)


def dequantized(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns floating images plus uniform noise in [0, 1) (Section 4.1).

    The noise of an example depends on its place in the global batch, and not on the
    replica that has it.
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
    """Lets batches be numbered from 0 inside, for the calling thread alone."""
    return _set(_COUNT, itertools.count())


def batch_number() -> Any:
    """Returns the number of the batch at hand, 0 outside of `counted_batches`."""
    return _NUMBER.get()


def _next_number() -> tf.Tensor:
    return tf.constant(next(_COUNT.get(itertools.count())))


def step_function(
    model: Any, after_batch: Callable[..., Any], *, training: bool = False
) -> Callable[[Iterator[Any]], dict[str, Any]]:
    """Returns what trains on some batches, or tests on them, on all replicas alike.

    Keras's own functions reduce what replicas return in a way that fails on several
    workers, and do not let the batch be seen. `after_batch` gets it, and what the step
    returned, and returns the logs.
    """
    step = model.train_step if training else model.test_step
    plain = _on_all_replicas(model, step, first_replica)
    on_batch = _compiled(model, plain)
    # A function in a function takes in every variable once more. XLA, which cannot
    # compile iterators, needs one.
    inside = on_batch if getattr(model, "jit_compile", None) else plain

    def on_iterator(iterator: tf.data.Iterator, number: tf.Tensor) -> Any:
        # Here the function sees no batch's own size, and is traced once for all.
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
    """Returns what predicts something of each example of some batches."""
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
        # Where there is no next batch nothing may change, such as counts of steps.
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
    """Lets functions run as they were traced, without TensorFlow's graph optimizer.

    On a CPU that finds nothing in a step of training that would make it faster, and
    takes a third of the time to the first one.
    """
    if tf.config.list_logical_devices("GPU"):
        yield
        return
    # Those of this thread alone. The public options are all threads', and two models
    # that train at once would put back each other's.
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
        # `gather` ends the process where no replica has examples.
        return tf.concat(parts, axis=0)
    return strategy.gather(values, axis=0)


def _spread(batch: Any, strategy: tf.distribute.Strategy) -> Any:
    """Returns a batch of which each replica has a part, also of one that is whole.

    Keras gives what `train_on_batch` and the like are given to every replica. Each of
    several workers has its own data.
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
    """Returns a batch as Keras hands it on, whatever it was made of."""
    x, condition, weight = unpack(data)
    if weight is not None:
        return x, condition, weight
    return x if condition is None else (x, condition)


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
