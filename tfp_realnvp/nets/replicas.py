"""One global batch, spread over the replicas of a `tf.distribute` strategy."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf


class GlobalBatch(NamedTuple):
    """How many examples all replicas have, and how many those before this one."""

    size: tf.Tensor
    start: tf.Tensor


def num_replicas() -> int:
    """Returns the number of replicas that work on one batch together."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def sum_over_replicas(value: Any) -> Any:
    """Returns the sum of `value`, a `Tensor` or a list of them, over all replicas."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return value
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, value)


def global_batch(local_size: tf.Tensor) -> GlobalBatch:
    """Returns the global batch of which this replica has `local_size`, maybe 0."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return GlobalBatch(local_size, tf.zeros([], tf.int32))
    number = tf.cast(replica.replica_id_in_sync_group, tf.int32)
    numbers = tf.range(replica.num_replicas_in_sync)
    sizes = sum_over_replicas(tf.where(numbers == number, local_size, 0))
    before = tf.where(numbers < number, sizes, 0)
    return GlobalBatch(tf.reduce_sum(sizes), tf.reduce_sum(before))
