"""Image flows of this package, run as users do."""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from speed.contenders import Prepared
from tfp_realnvp.flows.couplings import CouplingMaker
from tfp_realnvp.nets.parts import spawn_seeds

tfd = tfp.distributions


def prepare(cell, **flow_options):
    flow = nvp.image_flow(**cell["sizes"], **flow_options, seed=0)
    return prepare_flow(flow, cell["batch"])


def prepare_training(cell, **flow_options):
    prepared = prepare(cell, **flow_options)
    prepared.operations = {"train": prepared.operations["train"]}
    return prepared


def prepare_flow(flow, batch):
    runs = count_calls(networks_of(flow))
    images = made_up_images(batch, flow.event_shape)
    train = training_step(flow, images)
    return Prepared(
        {"train": train, **compiled(flow, tf.constant(images, tf.float32))},
        parameters=count_parameters(flow.trainable_variables),
        networks=len(couplings_of(flow)),
        network_runs=runs,
    )


def prepare_served(cell, frozen=False):
    """Prepares functions for any batch size, as a server runs them."""
    flow = nvp.image_flow(**cell["sizes"], seed=0)
    parameters = count_parameters(flow.trainable_variables)
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
    for operation in cell["operations"]:
        name, _, batch = operation.partition(" ")
        count, x = tf.constant(int(batch)), made_up_images(int(batch), flow.event_shape)
        call, given = log_prob, [tf.constant(x, flow.dtype)]
        if name == "sample":
            call, given = sample, [count, seed]
        operations[operation] = lambda call=call, given=given: call(*given).numpy()
    return Prepared(operations, parameters)


def prepare_chain(cell, memory):
    """Prepares checkerboard couplings of one width, to measure the cost of more."""
    sizes = cell["sizes"]
    event_shape, count = tuple(sizes["event_shape"]), sizes["num_couplings"]
    make = CouplingMaker(
        nvp.ResNetConditioner(sizes["filters"], sizes["num_blocks"]),
        transform=None,
        condition_size=None,
        batch_norm="batch",
        momentum=0.9,
        l2=5e-5,
        dtype="float32",
        network_dtype="float32",
    )
    masks = [
        functools.partial(nvp.checkerboard_mask, invert=bool(i % 2))
        for i in range(count)
    ]
    seeds = iter(spawn_seeds(0, count))
    members = make(event_shape, masks, level=0, initial_gain=0.0, seeds=seeds)
    chain = nvp.RealNVPBijector(
        event_shape, num_scales=1, body=nvp.FusedChain(members), memory=memory
    )
    base = tfd.Independent(tfd.Normal(tf.zeros(event_shape), 1.0), 3)
    bijector = nvp.FusedChain([nvp.PixelLogit(), chain])
    return prepare_flow(tfd.TransformedDistribution(base, bijector), cell["batch"])


def compiled(flow, x, jit_compile=False):
    """Returns graphs that score and sample with a flow, for a batch like `x`."""
    log_prob = tf.function(flow.log_prob, jit_compile=jit_compile)
    sample = tf.function(
        lambda seed: flow.sample(len(x), seed=seed), jit_compile=jit_compile
    )
    seed = tf.constant([0, 1])
    return {
        "log_prob": lambda: log_prob(x).numpy(),
        "sample": lambda: sample(seed).numpy(),
    }


def training_step(flow, events, **compile_options):
    """Returns the step of `FlowModel.fit`."""
    model = nvp.FlowModel(flow, seed=0)
    model.compile(**compile_options)
    step = model.make_train_function()
    # From an iterator the model reads the batch inside the graph, as in `fit`.
    iterator = iter(tf.data.Dataset.from_tensors(events).repeat())
    return lambda: float(step(iterator)["loss"])


def made_up_images(batch, event_shape):
    shape = (batch, *event_shape)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def count_parameters(variables):
    return sum(v.shape.num_elements() for v in variables)


def couplings_of(flow):
    return [m for m in flow.submodules if isinstance(m, nvp.AffineCoupling)]


def networks_of(flow):
    return [coupling.network.network for coupling in couplings_of(flow)]


def count_calls(layers):
    """Returns a counter of the Python calls of these layers from now on.

    For a graph it is how often the graph contains the network: only tracing calls them.
    """
    calls = []

    def counted(call):
        def count(*args, **kwargs):
            calls.append(None)
            return call(*args, **kwargs)

        return count

    for layer in layers:
        layer.call = counted(layer.call)
    return lambda: len(calls)
