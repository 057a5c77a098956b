"""Vector flows in TensorFlow: ours, and TFP's own couplings."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from speed.contenders import Prepared, tf_threads
from speed.contenders.ours import (
    count_calls,
    count_parameters,
    networks_of,
    training_step,
)
from speed.contenders.tfp_route import training_step as plain_training_step

tfb, tfd = tfp.bijectors, tfp.distributions

# That of the networks of all peers.
ACTIVATION = "relu"


def prepare(cell: dict[str, Any], route: str, jit_compile: bool = False) -> Prepared:
    sizes, batch = cell["sizes"], cell["batch"]
    size, hidden_units = sizes["size"], tuple(sizes["hidden_units"])
    base = tfd.Independent(tfd.Normal(tf.zeros([size]), 1.0), 1)
    events = np.random.default_rng(0).normal(size=(batch, size)).astype(np.float32)
    x = tf.constant(events)
    if route == "ours":
        bijector = nvp.RealNVPBijector(
            (size,),
            num_couplings=sizes["num_couplings"],
            hidden_units=hidden_units,
            activation=ACTIVATION,
            seed=0,
        )
        flow = tfd.TransformedDistribution(base, bijector)
        runs = count_calls(networks_of(flow))
        parameters = count_parameters(flow.trainable_variables)
        train = training_step(
            flow,
            events,
            optimizer=keras.optimizers.Adam(1e-3),
            jit_compile=jit_compile,
        )
    else:
        networks = [Network(size, hidden_units) for _ in range(sizes["num_couplings"])]
        runs = count_calls(networks)
        flow = tfd.TransformedDistribution(base, _chain(size, networks))
        variables = [v for network in networks for v in network.trainable_variables]
        parameters = count_parameters([v.value for v in variables])
        train = plain_training_step(
            lambda: -tf.reduce_mean(flow.log_prob(x)), variables
        )
    log_prob = tf.function(flow.log_prob, jit_compile=jit_compile)
    sample = tf.function(
        lambda seed: flow.sample(batch, seed=seed), jit_compile=jit_compile
    )
    seed = tf.constant([0, 1])
    return Prepared(
        operations={
            "train": train,
            "log_prob": lambda: log_prob(x).numpy(),
            "sample": lambda: sample(seed).numpy(),
        },
        parameters=parameters,
        threads=tf_threads(),
        networks=sizes["num_couplings"],
        network_runs=runs,
    )


class Network(keras.layers.Layer):
    """Our network's layers and head, from Keras's own."""

    def __init__(self, size, hidden_units, **kwargs):
        super().__init__(**kwargs)
        layers = [keras.layers.Dense(units, ACTIVATION) for units in hidden_units]
        last = keras.layers.Dense(2 * (size - size // 2), kernel_initializer="zeros")
        self.layers = keras.Sequential([*layers, last])
        self.gain = self.add_weight(shape=(), initializer="ones", name="gain")
        self.layers.build((None, size // 2))
        self.built = True

    def call(self, inputs):
        shift, raw = tf.split(self.layers(inputs), 2, axis=-1)
        return shift, tf.convert_to_tensor(self.gain) * tf.tanh(raw)


def _chain(size: int, networks: list[Network]) -> tfb.Chain:
    members = []
    for network in networks:
        coupling = tfb.RealNVP(
            num_masked=size // 2,
            shift_and_log_scale_fn=lambda x, _, network=network, **kwargs: network(x),
        )
        members += [coupling, tfb.Permute(list(reversed(range(size))))]
    return tfb.Chain(members[:-1], name="chain")
