"""Image flows of this package at any batch size, as a server would run them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

import tfp_realnvp as nvp
from speed.contenders import Prepared, tf_threads
from speed.contenders.ours import count_couplings, count_parameters, made_up_images


def prepare(cell: dict[str, Any], frozen: bool = False) -> Prepared:
    flow = nvp.image_flow(**cell["sizes"], seed=0)
    parameters, networks = (
        count_parameters(flow.trainable_variables),
        count_couplings(flow),
    )
    if frozen:
        flow = nvp.freeze(flow)
    log_prob = tf.function(
        flow.log_prob,
        input_signature=[tf.TensorSpec([None, *flow.event_shape], flow.dtype)],
    )
    sample = tf.function(
        lambda count, seed: flow.sample(count, seed=seed),
        input_signature=[tf.TensorSpec([], tf.int32), tf.TensorSpec([2], tf.int32)],
    )
    operations, seed = {}, tf.constant([0, 1])
    for batch in cell["batches"]:
        pixels = tf.constant(made_up_images(batch, flow.event_shape), flow.dtype)
        count = tf.constant(batch)
        operations[f"log_prob {batch}"] = lambda x=pixels: log_prob(x).numpy()
        operations[f"sample {batch}"] = lambda n=count: sample(n, seed).numpy()
    return Prepared(operations, parameters, tf_threads(), networks)
