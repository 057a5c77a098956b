"""A small flow, model and run that tests of bad files and values share."""

import contextlib
import faulthandler
import functools
import json
import os
import pathlib
import shutil
import signal
import tempfile

import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.data import load_images
from tfp_realnvp.runs.checkpoint import Progress, save_checkpoint
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory

tfd = tfp.distributions

EVENT = (4, 4, 1)
SMALL = {"num_scales": 1, "filters": 2, "num_blocks": 1}


@functools.cache
def flow(condition_size=None):
    return nvp.image_flow(
        event_shape=EVENT, seed=0, condition_size=condition_size, **SMALL
    )


@functools.cache
def vectors(condition_size=None):
    couplings = {"num_couplings": 2, "hidden_units": (2,)}
    real_nvp = nvp.RealNVPBijector(
        (3,), seed=0, condition_size=condition_size, **couplings
    )
    return tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), 3), real_nvp)


@functools.cache
def model(flow):
    found = nvp.FlowModel(flow, seed=0)
    found.compile(run_eagerly=True)
    return found


@functools.cache
def run_path():
    """A run on digits that was never trained, with all of its files."""
    path = pathlib.Path(tempfile.mkdtemp()) / "run"
    config = RunConfig(
        dataset="digits",
        flow={"event_shape": (8, 8, 1), **SMALL},
        batch_size=64,
        epochs=1,
        learning_rate=1e-3,
        seed=0,
    )
    run = RunDirectory.create(path, config)
    made = config.build_model()
    made.save_weights(run.weights())
    made.save_weights(run.weights("best"))
    logs = {"bits_per_dim": 7.0, "val_bits_per_dim": 7.0, "loss": 7.0}
    progress = Progress(
        step=3, history=[logs], data=load_images("digits").fingerprint()
    )
    save_checkpoint(run.checkpoint, made, progress)
    summary = {"test_bits_per_dim": 7.0, "steps": 3}
    (path / "summary.json").write_text(json.dumps(summary))
    run.history.write_text("epoch,val_bits_per_dim\n0,7.0\n")
    return path


@functools.cache
def run_model():
    return RunDirectory(run_path()).load_config().build_model()


def copy_of_run(folder, **changes):
    """Returns a copy of the run, with changes in the flow of its configuration."""
    path = pathlib.Path(folder) / "run"
    shutil.copytree(run_path(), path)
    config = json.loads((path / "config.json").read_text())
    config["flow"].update(changes)
    (path / "config.json").write_text(json.dumps(config))
    return path


def state(model):
    return [v.numpy() for v in (*model.weights, *model.optimizer.variables)]


# Pytest may replace the stream by one without a file number.
_STDERR = os.fdopen(os.dup(2), "w")


@contextlib.contextmanager
def time_limit(seconds):
    """Ends what takes longer, and the process if it cannot be ended."""

    def ring(signum, frame):
        raise TimeoutError(f"took more than {seconds} s")

    old = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    # In the midst of TensorFlow no signal is heard.
    faulthandler.dump_traceback_later(3 * seconds, exit=True, file=_STDERR)
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, old)
