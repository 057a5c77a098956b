"""Image flows of this package, as their users run them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from speed.contenders import Prepared, tf_threads

tfd = tfp.distributions


def prepare(
    cell: dict[str, Any], operations: Sequence[str] | None = None, **flow_options: Any
) -> Prepared:
    flow = nvp.image_flow(**cell["sizes"], **flow_options, seed=0)
    return prepare_flow(flow, cell["batch"], operations)


def prepare_flow(
    flow: tfd.Distribution, batch: int, operations: Sequence[str] | None = None
) -> Prepared:
    runs = count_calls(networks_of(flow))
    images = made_up_images(batch, flow.event_shape)
    pixels = tf.constant(images, tf.float32)
    log_prob = tf.function(flow.log_prob)
    sample = tf.function(lambda seed: flow.sample(batch, seed=seed))
    seed = tf.constant([0, 1])
    every = {
        "train": training_step(flow, images),
        "log_prob": lambda: log_prob(pixels).numpy(),
        "sample": lambda: sample(seed).numpy(),
    }
    return Prepared(
        operations={name: every[name] for name in operations or every},
        parameters=count_parameters(flow.trainable_variables),
        threads=tf_threads(),
        networks=count_couplings(flow),
        network_runs=runs,
    )


def training_step(
    flow: tfd.Distribution, events: np.ndarray, **compile_options: Any
) -> Callable[[], Any]:
    """Returns the step that `FlowModel.fit` makes of every batch."""
    model = nvp.FlowModel(flow, seed=0)
    model.compile(**compile_options)
    step = model.make_train_function()
    # On this the model takes in the batch inside of the graph, as in `fit`.
    iterator = iter(tf.data.Dataset.from_tensors(events).repeat())
    return lambda: float(step(iterator)["loss"])


def made_up_images(batch: int, event_shape: Sequence[int]) -> np.ndarray:
    shape = (batch, *event_shape)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def count_parameters(variables: Sequence[tf.Variable]) -> int:
    return sum(v.shape.num_elements() for v in variables)


def couplings_of(flow: tfd.Distribution) -> list[nvp.AffineCoupling]:
    return [m for m in flow.submodules if isinstance(m, nvp.AffineCoupling)]


def count_couplings(flow: tfd.Distribution) -> int:
    return len(couplings_of(flow))


def networks_of(flow: tfd.Distribution) -> list[keras.layers.Layer]:
    return [coupling.network.network for coupling in couplings_of(flow)]


def count_calls(layers: Sequence[keras.layers.Layer]) -> Callable[[], int]:
    """Returns how often these layers have been called, in Python, since now.

    In a graph that is how often it holds the network: only tracing calls them.
    """
    calls = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def count(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            return call(*args, **kwargs)

        return count

    for layer in layers:
        layer.call = counted(layer.call)
    return lambda: calls
