"""Runs on digits as training leaves them, though they were never trained; commands."""

import h5py
import tensorflow as tf

from tfp_realnvp.cli import main
from tfp_realnvp.runs import RunConfig, RunDirectory

FLOW = {"event_shape": (8, 8, 1), "num_scales": 1, "filters": 2, "num_blocks": 1}
# To train in seconds.
QUICK = "--num-scales 1 --filters 4 --num-blocks 1 --epochs 1"


def make_run(path, *, change=lambda model: None, batch_size=64, seed=0, **options):
    """Returns the folder of a run with its first weights, changed by a function.

    What of the options is not `RunConfig`'s is an argument of the flow.
    """
    fields = RunConfig.__dataclass_fields__
    own = {name: options.pop(name) for name in [*options] if name in fields}
    config = RunConfig(
        dataset="digits",
        flow={**FLOW, **options},
        batch_size=batch_size,
        epochs=1,
        learning_rate=1e-3,
        seed=seed,
        **own,
    )
    directory = RunDirectory.create(path, config)
    model = config.build_model()
    change(model)
    model.save_weights(directory.weights())
    return path


def words(*arguments):
    """Returns arguments of a command: a path is one, a `str` may be several."""
    return [
        w for a in arguments for w in (a.split() if isinstance(a, str) else [str(a)])
    ]


def status(*arguments):
    """Returns the exit status of a command."""
    return main(words(*arguments))


def refused(capsys, command, *arguments):
    """Returns what a command says that is given something wrong."""
    capsys.readouterr()
    assert status(command, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"tfp-realnvp {command}: error: ")
    return error


def png(path):
    return tf.io.decode_png(path.read_bytes()).numpy()


def weights(run):
    """Returns the last weights of a run by their names in the file."""
    with h5py.File(run / "model.weights.h5") as file:
        found = {}
        file.visititems(lambda name, item: found.update({name: item}))
        return {k: v[()] for k, v in found.items() if isinstance(v, h5py.Dataset)}
