"""Flows in every format they can be saved in; run as a program, reads them back.

    python saved_flows.py DIRECTORY

writes the log-densities that each saved flow gives to DIRECTORY/log_probs.npz.
"""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfb = tfp.bijectors
tfd = tfp.distributions

SMALL = {"num_couplings": 3, "hidden_units": (8,)}


def vector(seed):
    scale = tfp.util.TransformedVariable([1.0, 1.0], tfb.Softplus(), name="scale")
    base = tfd.MultivariateNormalDiag(tf.Variable([0.0, 0.0], name="loc"), scale)
    flow = nvp.RealNVPBijector((2,), seed=seed, batch_norm="batch", **SMALL)
    shift = tfb.Shift(tf.Variable([0.0, 0.0], name="shift"))
    return tfd.TransformedDistribution(base, tfb.Chain([shift, flow], name="chain"))


def conditional(seed, condition_size=3):
    flow = nvp.RealNVPBijector((2,), seed=seed, condition_size=condition_size, **SMALL)
    return tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), 2), flow)


def image(seed):
    return nvp.image_flow(event_shape=(4, 4, 1), filters=4, num_blocks=1, seed=seed)


def mixture(seed):
    flows = [conditional(seed + i, condition_size=None) for i in range(2)]
    logits = tf.Variable([0.0, 0.0], name="logits")
    return tfd.Mixture(tfd.Categorical(logits=logits), flows)


FLOWS = {f.__name__: f for f in (vector, conditional, image, mixture)}


def examples(name):
    """Returns the arguments of `log_prob`, less their names."""
    rng = np.random.default_rng(0)
    if name == "image":
        return (rng.uniform(0, 256, size=(8, 4, 4, 1)).astype("float32"),)
    x = rng.normal(size=(8, 2)).astype("float32")
    return (x, np.arange(8, dtype="int32") % 3) if name == "conditional" else (x,)


def log_prob(flow, x, condition=None):
    kwargs = {} if condition is None else {"bijector_kwargs": {"condition": condition}}
    return flow.log_prob(x, **kwargs)


class Served(tf.Module):
    """What a user would write to save a distribution with TensorFlow alone."""

    def __init__(self, flow, arguments):
        super().__init__()
        self.flow = flow
        signature = [tf.TensorSpec([None, *a.shape[1:]], a.dtype) for a in arguments]
        self.log_prob = tf.function(
            lambda *args: log_prob(self.flow, *args), input_signature=signature
        )


def save(name, directory):
    """Saves a trained flow in all formats and returns its log-densities."""
    flow, arguments = FLOWS[name](seed=1), examples(name)
    model = nvp.FlowModel(flow, seed=0)
    model.compile("adam")
    model.fit(*arguments, epochs=2, verbose=0)
    path = f"{directory}/{name}"
    tf.train.Checkpoint(flow=flow).write(f"{path}.checkpoint")
    model.save(f"{path}.keras")
    model.save_weights(f"{path}.weights.h5")
    served = Served(flow, arguments)
    tf.saved_model.save(served, f"{path}.saved_model")
    return {
        "eager": log_prob(flow, *arguments).numpy(),
        "graph": served.log_prob(*map(tf.constant, arguments)).numpy(),
    }


def load(name, directory):
    """Returns the log-densities that each format gives, by its name."""
    path, arguments = f"{directory}/{name}", examples(name)
    flows = {"checkpoint": FLOWS[name](seed=2), "weights": FLOWS[name](seed=3)}
    checkpoint = tf.train.Checkpoint(flow=flows["checkpoint"])
    checkpoint.read(f"{path}.checkpoint").assert_consumed()
    nvp.FlowModel(flows["weights"], seed=0).load_weights(f"{path}.weights.h5")
    flows["keras"] = keras.saving.load_model(f"{path}.keras").flow
    found = {kind: log_prob(flow, *arguments).numpy() for kind, flow in flows.items()}
    served = tf.saved_model.load(f"{path}.saved_model")
    served = served.log_prob(*map(tf.constant, arguments)).numpy()
    return {**found, "saved_model": served}


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    found = {
        f"{name}/{kind}": value
        for name in FLOWS
        for kind, value in load(name, folder).items()
    }
    np.savez(folder / "log_probs.npz", **found)
