"""Vector flows in TensorFlow: ours, and TFP's own couplings."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from speed.contenders import Prepared
from speed.contenders.ours import (
    compiled,
    count_calls,
    count_parameters,
    networks_of,
    training_step,
)

tfb, tfd = tfp.bijectors, tfp.distributions

# The activation of all peers' networks.
ACTIVATION = "relu"


def prepare(cell, jit_compile=False):
    sizes, events = cell["sizes"], _events(cell)
    bijector = nvp.RealNVPBijector(
        (sizes["size"],),
        num_couplings=sizes["num_couplings"],
        hidden_units=tuple(sizes["hidden_units"]),
        activation=ACTIVATION,
        seed=0,
    )
    flow = tfd.TransformedDistribution(_base(sizes["size"]), bijector)
    runs = count_calls(networks_of(flow))
    optimizer = keras.optimizers.Adam(1e-3)
    train = training_step(flow, events, optimizer=optimizer, jit_compile=jit_compile)
    return Prepared(
        {"train": train, **compiled(flow, tf.constant(events), jit_compile)},
        parameters=count_parameters(flow.trainable_variables),
        networks=sizes["num_couplings"],
        network_runs=runs,
    )


def prepare_tfp(cell):
    sizes, x = cell["sizes"], tf.constant(_events(cell))
    size, hidden_units = sizes["size"], sizes["hidden_units"]
    networks = [Network(size, hidden_units) for _ in range(sizes["num_couplings"])]
    runs = count_calls(networks)
    flow = tfd.TransformedDistribution(_base(size), _chain(size, networks))
    variables = [v for network in networks for v in network.trainable_variables]
    values = [v.value for v in variables]
    # The default optimizer of `FlowModel`.
    optimizer = keras.optimizers.Adam(global_clipnorm=100.0)
    optimizer.build(variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(x))
        optimizer.apply(tape.gradient(loss, values), variables)
        return loss

    return Prepared(
        {"train": lambda: float(step()), **compiled(flow, x)},
        parameters=count_parameters(values),
        networks=len(networks),
        network_runs=runs,
    )


def _events(cell):
    shape = cell["batch"], cell["sizes"]["size"]
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _base(size):
    return tfd.Independent(tfd.Normal(tf.zeros([size]), 1.0), 1)


class Network(keras.layers.Layer):
    """The layers and head of our network, made of Keras's own layers."""

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


def _chain(size, networks):
    members = []
    for network in networks:
        coupling = tfb.RealNVP(
            num_masked=size // 2,
            shift_and_log_scale_fn=lambda x, _, network=network, **kwargs: network(x),
        )
        members += [coupling, tfb.Permute(list(reversed(range(size))))]
    return tfb.Chain(members[:-1], name="chain")
