"""Artifacts, loaded by a process that has TensorFlow and nothing else of ours."""

import subprocess
import sys

import numpy as np

# Importing what is `None` here fails.
SERVE = """
import sys

sys.modules.update(tfp_realnvp=None, tensorflow_probability=None, keras=None)
import numpy as np
import tensorflow as tf

for directory in sys.argv[1:]:
    given, found = dict(np.load(directory + ".given.npz")), {}
    for name, function in tf.saved_model.load(directory).signatures.items():
        inputs = function.structured_input_signature[1].values()
        arguments = {
            spec.name: tf.constant(given[spec.name], spec.dtype) for spec in inputs
        }
        for key, value in function(**arguments).items():
            found[f"{name}/{key}"] = value.numpy()
    np.savez(directory + ".found.npz", **found)
"""


def run(program, *arguments):
    """Runs a program with this process's paths, and fails if it does."""
    result = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert result.returncode == 0, result.stderr


def serve(given):
    """Calls every signature of artifacts in one fresh process.

    From inputs by folder come results by "signature/output" by folder.
    """
    for directory, inputs in given.items():
        np.savez(f"{directory}.given.npz", **inputs)
    run(SERVE, *given)
    return {d: dict(np.load(f"{d}.found.npz")) for d in given}
