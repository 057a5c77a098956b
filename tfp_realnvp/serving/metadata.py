"""What an artifact says of itself, in a file that needs no TensorFlow to be read."""

from __future__ import annotations

import importlib.metadata
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.flows.call_arguments import condition_size_of_flow, pixel_logit_of
from tfp_realnvp.flows.config import to_config
from tfp_realnvp.serving.signatures import PARAMETERS

FORMAT_VERSION = 1

_UNITS = {
    "log_prob": "nats",
    "latents": "those of the base distribution",
    "temperature": "factor on the latents",
}
_PIXEL_UNITS = {
    "x": "pixels: real values in [0, 256), or uint8 in score_images",
    "bits_per_dim": "bits per dimension",
    "images": "pixels: 0 to 255",
    "samples": "pixels: real values, of which images are the whole part",
}


def metadata_path(directory: pathlib.Path) -> pathlib.Path:
    """Returns where an artifact's metadata are, a place that TensorFlow leaves free."""
    return directory / "assets.extra" / "metadata.json"


def describe(
    flow: tfd.Distribution,
    signatures: Mapping[str, tf.types.experimental.ConcreteFunction],
    run: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Returns the metadata of an artifact, as plain values.

    Args:
      flow: What is exported.
      signatures: Its functions by name.
      run: What is known of its training, or `None`.
    """
    is_over_pixels = pixel_logit_of(flow) is not None
    packages = ("tfp_realnvp", "tensorflow", "tensorflow-probability", "keras", "numpy")
    return {
        "format_version": FORMAT_VERSION,
        "event_shape": flow.event_shape.as_list(),
        "dtype": flow.dtype.name,
        "condition_size": condition_size_of_flow(flow),
        "is_over_pixels": is_over_pixels,
        "units": {**_UNITS, **(_PIXEL_UNITS if is_over_pixels else {})},
        "signatures": {
            name: {
                "inputs": _specs(function.structured_input_signature[0]),
                "outputs": _named_specs(function.structured_outputs),
            }
            for name, function in sorted(signatures.items())
        },
        "run": None if run is None else dict(run),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "flow": _config(flow),
    }


def _specs(specs: tuple[tf.TensorSpec, ...]) -> dict[str, Any]:
    return _named_specs({spec.name: spec for spec in specs})


def _named_specs(specs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {
            "dtype": spec.dtype.name,
            "shape": PARAMETERS[name] if name in PARAMETERS else spec.shape.as_list(),
        }
        for name, spec in specs.items()
    }


def _config(flow: tfd.Distribution) -> Any:
    try:
        return to_config(flow)
    except TypeError:
        # Made of classes that are not public: what it does, the artifact knows.
        return None
