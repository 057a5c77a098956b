"""A flow's SavedModel, called with TensorFlow alone."""

import json
import pathlib
import re

import numpy as np
import tensorflow as tf


def find_artifact(folder):
    """Returns the folder of a SavedModel: this one, or its highest numbered version."""
    folder = pathlib.Path(folder)
    if _is_saved_model(folder):
        return folder
    inner = folder.iterdir() if folder.is_dir() else ()
    versions = [p for p in inner if p.name.isdecimal() and _is_saved_model(p)]
    if not versions:
        raise FileNotFoundError(
            f"{folder}: expected a folder with saved_model.pb, or with numbered "
            "versions of such folders."
        )
    return max(versions, key=lambda path: int(path.name))


def read_metadata(artifact):
    # A run that diverged may have written NaN, which JSON does not allow.
    text = (artifact / "assets.extra" / "metadata.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=lambda _: None)


def use_threads(lanes):
    """Makes each call use one thread, and `lanes` calls run at the same time.

    A flow has hundreds of small operations: unless batches are large, handing each from
    thread to thread takes longer than it saves.
    """
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(lanes)


class RefusedInput(ValueError):
    """The artifact's own checks have refused its input."""


class Artifact:
    """The signatures of a SavedModel as functions from NumPy arrays to NumPy arrays."""

    def __init__(self, path):
        self.path = path
        self.metadata = read_metadata(path)

    def load(self, max_batch):
        """Loads, and calls each signature with batches of 1, 2, 4, ..., `max_batch`."""
        # The functions need the loaded object to stay alive.
        self._loaded = tf.saved_model.load(self.path)
        sizes = {min(2**i, max_batch) for i in range(max_batch.bit_length() + 1)}
        for size in sorted(sizes):
            rows = self._blank(size)
            self.score(**rows, num_draws=1, seed=(0, 0))
            self.sample(
                num_samples=size,
                seed=(0, 0),
                **{k: v for k, v in rows.items() if k == "condition"},
            )

    def score(self, x, num_draws=None, seed=None, condition=None):
        """Returns log-densities; the options are those of flows over pixels."""
        if self.metadata["is_over_pixels"]:
            options = {"num_draws": num_draws, "seed": seed}
            return self._call("score_images", x=x, condition=condition, **options)
        return self._call("serving_default", x=x, condition=condition)

    def sample(self, num_samples, seed, temperature=1.0, condition=None):
        inputs = {"num_samples": num_samples, "seed": seed, "condition": condition}
        if self.takes_temperature:
            inputs["temperature"] = temperature
        return self._call("sample", **inputs)

    @property
    def takes_temperature(self):
        return "temperature" in self.metadata["signatures"]["sample"]["inputs"]

    def _call(self, name, **inputs):
        signature = self._loaded.signatures[name]
        _, specs = signature.structured_input_signature
        tensors = {
            key: tf.constant(value, specs[key].dtype)
            for key, value in inputs.items()
            if value is not None
        }
        try:
            outputs = signature(**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise _explained(error) from error
        return {key: value.numpy() for key, value in outputs.items()}

    def _blank(self, size):
        dtype = np.uint8 if self.metadata["is_over_pixels"] else self.metadata["dtype"]
        rows = {"x": np.zeros([size, *self.metadata["event_shape"]], dtype)}
        if self.metadata["condition_size"] is not None:
            rows["condition"] = np.zeros([size, self.metadata["condition_size"]])
        return rows


def _explained(error):
    """Returns the message of an assertion in the artifact, without its place there."""
    found = re.search(r"assertion failed: \[(.*)\]", error.message)
    return RefusedInput(found[1].replace("] [", " ")) if found else error


def _is_saved_model(folder):
    return (folder / "saved_model.pb").is_file()
