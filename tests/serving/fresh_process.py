"""Artifacts, loaded by a process that has TensorFlow and nothing else of ours."""

import pathlib
import subprocess
import sys

import numpy as np

CLIENT = pathlib.Path(__file__).parents[2] / "examples/clients/run_tensorflow.py"
# Importing what is `None` here fails.
SERVE = """
import runpy, sys

sys.modules.update(tfp_realnvp=None, tensorflow_probability=None, keras=None)
client, *directories = sys.argv[1:]
main = runpy.run_path(client)["main"]
for directory in directories:
    main(directory, directory + ".given.npz", directory + ".found.npz")
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
    run(SERVE, CLIENT, *given)
    return {d: dict(np.load(f"{d}.found.npz")) for d in given}
