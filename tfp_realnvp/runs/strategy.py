"""`tf.distribute` strategies, for one model on several devices."""

from __future__ import annotations

import json
import os
from typing import Any, Literal

import tensorflow as tf

from tfp_realnvp.arguments import check_choice
from tfp_realnvp.choices import STRATEGIES


def make_strategy(
    name: Literal["auto", "none", "mirrored", "multiworker"] = "auto",
) -> tf.distribute.Strategy:
    """Returns the `tf.distribute` strategy of that name.

    Args:
      name: `"none"` is one device; `"mirrored"` all GPUs of this machine, or its CPU
        if it has none; `"multiworker"` all machines that the environment variable
        TF_CONFIG names, or all tasks of a Slurm step; make it before TensorFlow runs
        anything. `"auto"` is `"multiworker"` with a TF_CONFIG or a Slurm step of
        several tasks, else `"mirrored"` with two GPUs or more, else `"none"`.

    Raises:
      ValueError: If there is no such strategy, or TF_CONFIG does not name a cluster.
      RuntimeError: If TensorFlow cannot make it.
    """
    check_choice("strategy", name, STRATEGIES)
    config, tasks = os.environ.get("TF_CONFIG"), _slurm_tasks()
    if name == "auto" and (config or tasks > 1):
        name = "multiworker"
    elif name == "auto":
        has_several = len(tf.config.list_logical_devices("GPU")) > 1
        name = "mirrored" if has_several else "none"
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if tasks > 1 and not config:
        return tf.distribute.MultiWorkerMirroredStrategy(slurm_cluster_resolver())
    if not _names_a_cluster(config):
        # TensorFlow would train on this machine alone, or wait forever.
        raise ValueError(
            'strategy: expected TF_CONFIG like {"cluster": {"worker": ["host:port", '
            '...]}, "task": {"type": "worker", "index": 0}} for multiworker, or '
            f"srun's tasks; got {config!r}."
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


def slurm_cluster_resolver() -> tf.distribute.cluster_resolver.ClusterResolver:
    """Returns the tasks of this Slurm step (`srun`), each with the GPUs it sees."""
    # TensorFlow's own assignment of GPUs assumes that a machine has some and that each
    # task sees all of them. The job's number gives two jobs on a machine other ports.
    found = tf.distribute.cluster_resolver.SlurmClusterResolver(
        port_base=12_000 + int(os.environ.get("SLURM_JOB_ID", 0)) % 20_000,
        gpus_per_node=_slurm_tasks(),
        gpus_per_task=1,
        auto_set_gpu=False,
    )
    # The resolver knows its task only after `cluster_spec`.
    cluster = found.cluster_spec()
    kind, index = found.get_task_info()
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster,
        task_type=kind,
        task_id=index,
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_id == 0


def gathered(strategy: tf.distribute.Strategy, value: int) -> list[int]:
    """Waits for all workers, and returns the values of all."""
    if strategy.cluster_resolver is None:
        return [value]
    return strategy.gather(tf.constant([value], tf.int64), axis=0).numpy().tolist()


def _slurm_tasks() -> int:
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))


def _names_a_cluster(config: str | None) -> bool:
    try:
        values: Any = json.loads(config or "")
        task = values["task"]
        return isinstance(values["cluster"][task["type"]][task["index"]], str) and (
            isinstance(values["cluster"]["worker"], list)
        )
    except (ValueError, KeyError, TypeError, IndexError):
        return False
