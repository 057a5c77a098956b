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
from small_runs import make_run

import tfp_realnvp as nvp
from tfp_realnvp.data import load_images
from tfp_realnvp.runs.checkpoint import Progress, save_checkpoint
from tfp_realnvp.runs.run_directory import RunDirectory

tfd = tfp.distributions


@functools.cache
def flow():
    sizes = {"num_scales": 1, "filters": 2, "num_blocks": 1}
    return nvp.image_flow(event_shape=(4, 4, 1), seed=0, **sizes)


@functools.cache
def vectors(condition_size=None):
    sizes = {"num_couplings": 2, "hidden_units": (2,), "condition_size": condition_size}
    real_nvp = nvp.RealNVPBijector((3,), seed=0, **sizes)
    return tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), 3), real_nvp)


@functools.cache
def model(flow):
    found = nvp.FlowModel(flow, seed=0)
    found.compile(run_eagerly=True)
    return found


@functools.cache
def run_path():
    """A run on digits that was never trained, with all of its files."""
    run = RunDirectory(make_run(pathlib.Path(tempfile.mkdtemp()) / "run"))
    made = run.load_model()
    made.save_weights(run.weights("best"))
    logs = {"bits_per_dim": 7.0, "val_bits_per_dim": 7.0, "loss": 7.0}
    data = load_images("digits").fingerprint()
    save_checkpoint(run.checkpoint, made, Progress(step=3, history=[logs], data=data))
    summary = {"test_bits_per_dim": 7.0, "steps": 3}
    (run.path / "summary.json").write_text(json.dumps(summary))
    run.history.write_text("epoch,val_bits_per_dim\n0,7.0\n")
    return run.path


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
