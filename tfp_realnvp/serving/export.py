"""Export of flows as TensorFlow SavedModels, with versions and origin."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import math
import os
import pathlib
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_flag, check_path, shortened
from tfp_realnvp.files import write_json
from tfp_realnvp.flows.call_arguments import (
    condition_size_of_flow,
    is_transformed,
    pixel_logit_of,
)
from tfp_realnvp.flows.config import to_config
from tfp_realnvp.flows.freeze import freeze
from tfp_realnvp.runs.run import SCORES_IN_SUMMARY
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.serving.signatures import PARAMETERS, signatures_of
from tfp_realnvp.training.flow_model import FlowModel

# The artifact's description, in a folder that SavedModels reserve for such files.
METADATA = "assets.extra/metadata.json"
_PACKAGES = ("tfp_realnvp", "tensorflow", "tensorflow-probability", "keras", "numpy")
_UNITS = {
    "log_prob": "nats",
    "latents": "those of the base distribution",
    "temperature": "factor on the latents",
}
_PIXEL_UNITS = {
    "x": "pixels: real values in [0, 256), or uint8 in score_images",
    "bits_per_dim": "bits per dimension",
    "images": "pixels: 0 to 255",
    "samples": "pixels: real values, rounded down in images",
}


def export_saved_model(
    flow: tfd.Distribution | FlowModel,
    directory: str | os.PathLike,
    *,
    overwrite: bool = False,
    run: Mapping[str, Any] | None = None,
) -> pathlib.Path:
    """Writes a flow as a SavedModel that needs TensorFlow alone.

    Its signatures are, for any N, with `x` of shape [N, *event_shape] and results of
    shape [N] or [N, *event_shape],

    ```none
    serving_default:  x                            -> log_prob, bits_per_dim
    score_images:     x (uint8), num_draws, seed   -> log_prob, bits_per_dim
    sample:           num_samples, seed, temperature
                                                   -> samples, log_prob, images (uint8)
    encode:           x                            -> latents
    decode:           latents                      -> samples, images (uint8)
    ```

    `log_prob` is in nats; `bits_per_dim`, `images` and `score_images` exist for flows
    over pixels, which end in a `PixelLogit`; `temperature` (a factor on the latents),
    `encode` and `decode` for transformed distributions. A conditional flow takes
    `condition`, floating vectors of shape [N, condition_size], in each.

    `score_images` adds dequantization noise to 8-bit images (Section 4.1), fixed by
    `seed` and the same for every image, and returns the logarithm of the mean density
    over `num_draws` draws of it; `serving_default` adds none. `log_prob` of `sample` is
    that of `samples`; `images` are `samples` rounded down.

    NaN, infinity and values that are not pixels raise
    `tf.errors.InvalidArgumentError` in any program that loads the artifact. Layers
    normalize by their moving averages. `assets.extra/metadata.json` describes the
    artifact, with the dtypes and shapes of all inputs and outputs.

    Args:
      flow: `tfd.Distribution` over events of a known shape, without batch shape, or
        the `FlowModel` that trains one.
      directory: Folder to write, which appears complete or not at all. For numbered
        versions, as in TensorFlow Serving, see `next_version`.
      overwrite: Python `bool`, whether to replace a folder that is not empty, once the
        new one is complete.
      run: Description of the training for the metadata, as values that JSON can hold.

    Returns:
      `directory`, as a `pathlib.Path`.

    Raises:
      FileExistsError: If `directory` is a file, or is not empty and `overwrite` is
        `False`.
      TypeError: If `flow` is neither a `tfd.Distribution` nor a `FlowModel`.
      ValueError: If another argument is invalid.

    #### Example

    ```python
    >>> import tempfile
    >>> import tensorflow as tf
    >>> import tfp_realnvp as nvp
    >>> sizes = {"num_scales": 1, "filters": 4, "num_blocks": 1}
    >>> flow = nvp.image_flow(event_shape=(4, 4, 1), **sizes)
    >>> directory = nvp.export_saved_model(flow, tempfile.mkdtemp())
    >>> served = tf.saved_model.load(directory)  # keep it: it owns the variables
    >>> signatures = served.signatures
    >>> sorted(signatures)
    ['decode', 'encode', 'sample', 'score_images', 'serving_default']
    >>> outputs = signatures["serving_default"](x=tf.zeros([2, 4, 4, 1]))
    >>> sorted(outputs)
    ['bits_per_dim', 'log_prob']

    ```
    """
    flow = flow.flow if isinstance(flow, FlowModel) else flow
    if not isinstance(flow, tfd.Distribution):
        raise TypeError(
            "flow: expected a tfd.Distribution or a FlowModel, got "
            f"{type(flow).__name__}."
        )
    has_one_shape = isinstance(flow.dtype, tf.DType) and flow.batch_shape == []
    if not has_one_shape or not flow.event_shape.is_fully_defined():
        raise ValueError(
            "flow: expected one over single tensors of a known shape, without batch "
            f"shape, got {shortened(flow)}."
        )
    check_flag("overwrite", overwrite)
    check_path("directory", directory)
    # Replace the target of a symbolic link, not the link.
    path = pathlib.Path(os.path.realpath(directory))
    if path.is_file() or (path.exists() and any(path.iterdir()) and not overwrite):
        raise FileExistsError(
            f"directory: expected a folder that is new or empty, but {path} is not; "
            "overwrite=True replaces a folder."
        )
    try:
        run = None if run is None else dict(run)
        json.dumps(run, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"run: expected what JSON can hold, NaN excluded, got {shortened(run)}."
        ) from error
    frozen = freeze(flow) if is_transformed(flow) else flow
    # Trace before anything is written.
    signatures = signatures_of(frozen)
    # Saving the flow itself would add useless descriptions of all bijectors and layers.
    module = tf.Module()
    module.flow_variables = list(frozen.variables)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    replaced = path.with_name(f".{os.getpid()}.{path.name}.replaced")
    try:
        tf.saved_model.save(module, temporary, signatures=signatures)
        (temporary / METADATA).parent.mkdir()
        write_json(temporary / METADATA, _metadata(flow, signatures, run))
        if overwrite and path.exists():
            path.rename(replaced)
        elif path.exists():
            # Fails if the folder has been filled meanwhile.
            path.rmdir()
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)
    return pathlib.Path(directory)


def next_version(directory: str | os.PathLike) -> pathlib.Path:
    """Returns the folder of the next version: `directory/1`, then `directory/2`, ...

    TensorFlow Serving finds new versions by these numbers, and can return to old ones.

    Args:
      directory: Folder of all versions, which need not exist yet.

    Raises:
      FileExistsError: If `directory` is a file, or a SavedModel itself.
      ValueError: If `directory` is not a path.
    """
    check_path("directory", directory)
    directory = pathlib.Path(directory)
    is_file = directory.exists() and not directory.is_dir()
    if is_file or (directory / "saved_model.pb").exists():
        kind = "file" if is_file else "SavedModel itself"
        raise FileExistsError(
            f"directory: expected a folder of versions, but {directory} is a {kind}."
        )
    # TensorFlow Serving accepts only decimal digits.
    names = [p.name for p in directory.glob("[0-9]*") if p.name.isdecimal()]
    return directory / str(1 + max(map(int, names), default=0))


def run_origin(directory: RunDirectory, weights: str = "last") -> dict[str, Any]:
    """Returns a description of a run: data set, classes, configuration, bits/dim.

    Args:
      directory: Folder of the run.
      weights: Python `str`, kind of weights, see `RunDirectory.weights`.

    Returns:
      `dict` for `export_saved_model`. `bits_per_dim` is the result of `evaluate` on
      these weights, with split, number of images and standard error; if there is none,
      that of training, with the split; else `None`.

    Raises:
      FileNotFoundError: If the folder contains no run or no such weights.
      ValueError: If one of its files is damaged.
    """
    config = directory.load_config()
    directory.check_weights(weights)
    path = directory.weights(weights)
    return {
        "dataset": config.dataset,
        "condition_names": config.condition_names,
        "bits_per_dim": _bits_per_dim(directory.path, path.stat().st_mtime, weights),
        "weights": weights,
        "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "config": dataclasses.asdict(config),
    }


def _bits_per_dim(run: pathlib.Path, since: float, weights: str) -> dict | None:
    # From our names to those in the files.
    names = {
        "value": "bits_per_dim",
        "images": "images",
        "standard_error": "standard_error_over_images",
    }
    evaluation = _read(run / "evaluation.json", since, names)
    if evaluation.get("weights") == weights:
        found = {ours: evaluation.get(name) for ours, name in names.items()}
        return {**found, "split": str(evaluation.get("split"))}
    name, split = SCORES_IN_SUMMARY[weights]
    value = _read(run / "summary.json", since, {"value": name}).get(name)
    return None if value is None else {"value": value, "split": split}


def _read(path: pathlib.Path, since: float, names: dict[str, str]) -> dict[str, Any]:
    """Returns a file's content, but nothing if it is older than the weights."""
    if not path.is_file() or path.stat().st_mtime < since:
        return {}
    try:
        values = dict(json.loads(path.read_text(encoding="utf-8")))
        if not all(math.isfinite(values.get(name) or 0) for name in names.values()):
            raise ValueError(f"expected finite numbers, got {shortened(values)}")
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"run: {path} is damaged: {error}") from error
    return values


def _metadata(
    flow: tfd.Distribution,
    signatures: Mapping[str, tf.types.experimental.ConcreteFunction],
    run: Mapping[str, Any] | None,
) -> dict[str, Any]:
    is_over_pixels = pixel_logit_of(flow) is not None
    try:
        config = to_config(flow)
    except TypeError:
        # Some of its classes are not public. The artifact works all the same.
        config = None
    return {
        "format_version": 1,
        "event_shape": flow.event_shape.as_list(),
        "dtype": flow.dtype.name,
        "condition_size": condition_size_of_flow(flow),
        "is_over_pixels": is_over_pixels,
        "units": {**_UNITS, **(_PIXEL_UNITS if is_over_pixels else {})},
        "signatures": {
            name: {
                "inputs": _specs(
                    (s.name, s) for s in function.structured_input_signature[0]
                ),
                "outputs": _specs(function.structured_outputs.items()),
            }
            for name, function in sorted(signatures.items())
        },
        "run": run,
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "flow": config,
    }


def _specs(specs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {
        name: {
            "dtype": spec.dtype.name,
            "shape": PARAMETERS[name] if name in PARAMETERS else spec.shape.as_list(),
        }
        for name, spec in specs
    }
