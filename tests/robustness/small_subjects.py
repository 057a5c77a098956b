"""Small flows, models, data and runs that bad inputs are given to, made once."""

import dataclasses
import functools
import json
import pathlib
import shutil
import tempfile

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageData, ImageSplit, load_images
from tfp_realnvp.runs.checkpoint import Progress, save_checkpoint
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory

tfb = tfp.bijectors
tfd = tfp.distributions

EVENT = (4, 4, 1)
SMALL = {"filters": 2, "num_blocks": 1}
COUPLINGS = {"num_couplings": 2, "hidden_units": (2,)}


@functools.cache
def flow():
    return nvp.image_flow(event_shape=EVENT, seed=0, **SMALL)


@functools.cache
def by_class():
    return nvp.image_flow(event_shape=EVENT, seed=0, condition_size=3, **SMALL)


@functools.cache
def vectors(condition_size=None):
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 3)
    real_nvp = nvp.RealNVPBijector(
        (3,), seed=0, condition_size=condition_size, **COUPLINGS
    )
    return tfd.TransformedDistribution(base, real_nvp)


def vector_model(condition_size=None):
    return _vector_model(condition_size)


@functools.cache
def _vector_model(condition_size):
    model = nvp.FlowModel(vectors(condition_size), seed=0)
    model.compile(run_eagerly=True)
    return model


@functools.cache
def pixel_model():
    model = nvp.FlowModel(flow(), seed=0)
    model.compile(run_eagerly=True)
    return model


@functools.cache
def bijector(name):
    network = nvp.ShiftAndLogScale(nvp.MLP(2, hidden_units=(2,), seed=0))
    return {
        "coupling": lambda: nvp.AffineCoupling((2,), network, nvp.channel_mask),
        "batch_norm": lambda: nvp.BatchNorm((3,)),
        "factor_out": lambda: nvp.FactorOut((2, 2, 4), tfb.Scale(2.0)),
        "invertible_conv": lambda: nvp.InvertibleConv((2, 2, 3)),
        "squeeze": nvp.Squeeze,
        "pixel_logit": lambda: nvp.PixelLogit(validate_args=True),
        "chain": lambda: nvp.FusedChain([tfb.Scale(2.0), nvp.Squeeze()]),
        "real_nvp": lambda: flow().bijector.bijectors[1],
        "vectors": lambda: vectors().bijector,
        "vectors_by_class": lambda: vectors(3).bijector,
    }[name]()


@functools.cache
def data(conditional=True):
    """Made-up images of EVENT's shape, of three classes."""
    rng = np.random.default_rng(0)

    def split(count):
        images = rng.integers(0, 256, [count, *EVENT]).astype(np.uint8)
        labels = (np.arange(count) % 3).astype(np.int32) if conditional else None
        return ImageSplit.from_array(images, labels)

    names = ("a", "b", "c") if conditional else None
    return ImageData("made up", EVENT, split(8), split(4), split(4), False, names)


@functools.cache
def classifier():
    return keras.Sequential([keras.Input(EVENT), keras.layers.Flatten()])


@functools.cache
def run_path():
    """A run on digits that was never trained, with all of its files."""
    path = pathlib.Path(tempfile.mkdtemp()) / "run"
    config = RunConfig(
        dataset="digits",
        flow={"event_shape": (8, 8, 1), "num_scales": 1, **SMALL},
        batch_size=64,
        epochs=1,
        learning_rate=1e-3,
        seed=0,
    )
    run = RunDirectory.create(path, config)
    model = config.build_model()
    model.save_weights(run.weights())
    model.save_weights(run.weights("best"))
    logs = {"bits_per_dim": 7.0, "val_bits_per_dim": 7.0, "loss": 7.0}
    digits = load_images("digits")
    progress = Progress(step=3, history=[logs], data=digits.fingerprint())
    save_checkpoint(run.checkpoint, model, progress)
    summary = {"test_bits_per_dim": 7.0, "steps": 3}
    (path / "summary.json").write_text(json.dumps(summary))
    run.history.write_text("epoch,val_bits_per_dim\n0,7.0\n")
    return path


@functools.cache
def run_model():
    return RunDirectory(run_path()).load_config().build_model()


def copy_of_run(folder):
    """Returns a copy of the run in a folder, for what writes into it."""
    path = pathlib.Path(folder) / "run"
    shutil.copytree(run_path(), path)
    return path


def images(count=2):
    return np.full([count, *EVENT], 100, np.uint8)


def state(model):
    return [v.numpy() for v in (*model.weights, *model.optimizer.variables)]


@functools.cache
def flow_config():
    from tfp_realnvp.flows.config import to_config

    return to_config(vectors())


def replaced(config, **changes):
    return dataclasses.replace(config, **changes)


def zeros(*shape):
    return tf.zeros(shape)
