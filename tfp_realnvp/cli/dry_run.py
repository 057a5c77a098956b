"""`tfp-realnvp train --dry-run`."""

from __future__ import annotations

import sys
import time

import tensorflow as tf

from tfp_realnvp.data import ImageData
from tfp_realnvp.data.image_data import pipeline_images_per_second
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.training.cost import measure_cost
from tfp_realnvp.training.flow_model import FlowModel


def dry_run(model: FlowModel, config: RunConfig, data: ImageData) -> None:
    """Prints what training would take, and makes one step of it."""
    replicas = model.distribute_strategy.num_replicas_in_sync
    print(
        f"{data.name}: {data.train.count} training, {data.validation.count} "
        f"validation, {data.test.count} test images of {data.event_shape}; "
        f"{data.steps_per_epoch(config.step_size)} steps of {config.step_size} images "
        f"in an epoch; replicas: {replicas}.",
        flush=True,
    )
    cost = measure_cost(model, -(-config.step_size // replicas))
    print(cost, flush=True)
    batches = data.training_batches(config.step_size, seed=config.seed)
    speed = pipeline_images_per_second(batches, config.step_size)
    print(f"Input pipeline alone: {speed:.0f} images/s.", flush=True)
    for name in ("One step, compilation included", "A second step"):
        begin = time.perf_counter()
        history = model.fit(batches, steps_per_epoch=1, verbose=0).history
        bits, seconds = history["bits_per_dim"][0], time.perf_counter() - begin
        print(f"{name}: {seconds:.1f} s, {bits:.3f} bits/dim.", flush=True)
    print(f"Memory at its peak: {_peak_bytes() / 2**30:.3g} GiB.", flush=True)
    print("No run was written.")


def _peak_bytes() -> int:
    """Returns what TensorFlow took of the first GPU, or else this process in all."""
    if tf.config.list_logical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    import resource  # Which Windows does not have.

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
