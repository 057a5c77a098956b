"""A flow as a TensorFlow SavedModel."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_flag, check_path, shortened
from tfp_realnvp.files import write_json
from tfp_realnvp.flows.call_arguments import is_transformed
from tfp_realnvp.flows.freeze import freeze
from tfp_realnvp.serving.directory import atomic_directory, check_directory
from tfp_realnvp.serving.metadata import describe, metadata_path
from tfp_realnvp.serving.signatures import Signatures
from tfp_realnvp.training.flow_model import FlowModel


def export_saved_model(
    flow: tfd.Distribution | FlowModel,
    directory: str | os.PathLike,
    *,
    overwrite: bool = False,
    run: Mapping[str, Any] | None = None,
) -> pathlib.Path:
    """Writes a flow as a SavedModel that needs TensorFlow alone.

    Its signatures are, with N any number, `x` of shape [N, *event_shape] and results
    of shape [N] or [N, *event_shape],

    ```none
    serving_default:  x                            -> log_prob, bits_per_dim
    score_images:     x (uint8), num_draws, seed   -> log_prob, bits_per_dim
    sample:           num_samples, seed, temperature
                                                   -> samples, log_prob, images (uint8)
    encode:           x                            -> latents
    decode:           latents                      -> samples, images (uint8)
    ```

    Numbers are of the flow's dtype, `num_draws`, `num_samples` and `seed` (of shape
    [2]) are `int32`. `log_prob` is in nats; `bits_per_dim`, `images` and
    `score_images` are there for flows over pixels, which end in a `PixelLogit`;
    `temperature` (a factor on the latents), `encode` and `decode` for transformed
    distributions. A conditional flow takes `condition`, floating vectors of shape
    [N, condition_size], in each.

    All of them are deterministic. `serving_default` adds no noise: its pixels are real
    values in [0, 256). `score_images` adds noise to 8-bit images (Section 4.1) that
    `seed` fixes, the same for every image, and gives the logarithm of the mean density
    over `num_draws` draws of it: 1 is one fixed draw, more come nearer to the
    likelihood of the discrete image. `log_prob` of `sample` is that of `samples`, of
    which `images` are the whole part.

    NaN, infinity and what are no pixels raise `tf.errors.InvalidArgumentError` in
    whatever loads the artifact. Layers normalize by their moving averages, folded into
    kernels where `freeze` can.

    What the artifact is and takes stands in `assets.extra/metadata.json` too: event
    shape, units, signatures, versions of the packages, and `run`.

    Args:
      flow: `tfd.Distribution` over events of a known shape, without batch shape, or
        the `FlowModel` that trains one.
      directory: Folder to write, which comes into being complete or not at all. To
        keep versions, as TensorFlow Serving does, see `next_version`.
      overwrite: Python `bool`, whether to replace a folder that holds anything. It
        stays until the new one is complete.
      run: What is known of the training, as values that JSON can hold: data set,
        bits/dim.

    Returns:
      `directory`, as a `pathlib.Path`.

    Raises:
      FileExistsError: If `directory` is a file, or holds anything and `overwrite` is
        `False`.
      TypeError: If `flow` is neither a `tfd.Distribution` nor a `FlowModel`.
      ValueError: If it has a batch shape, or its events are not single tensors of a
        known shape, if `directory` is no path, or `run` not what JSON can hold.

    #### Example

    ```python
    >>> import tempfile
    >>> import tensorflow as tf
    >>> import tfp_realnvp as nvp
    >>> sizes = {"num_scales": 1, "filters": 4, "num_blocks": 1}
    >>> flow = nvp.image_flow(event_shape=(4, 4, 1), **sizes)
    >>> directory = nvp.export_saved_model(flow, tempfile.mkdtemp())
    >>> served = tf.saved_model.load(directory)  # to be kept: it has the variables
    >>> signatures = served.signatures
    >>> sorted(signatures)
    ['decode', 'encode', 'sample', 'score_images', 'serving_default']
    >>> outputs = signatures["serving_default"](x=tf.zeros([2, 4, 4, 1]))
    >>> sorted(outputs)
    ['bits_per_dim', 'log_prob']
    >>> drawn = signatures["sample"](
    ...     num_samples=tf.constant(3),
    ...     seed=tf.constant([0, 1]),
    ...     temperature=tf.constant(0.7),
    ... )
    >>> drawn["images"].dtype, drawn["images"].shape
    (tf.uint8, TensorShape([3, 4, 4, 1]))

    ```
    """
    if isinstance(flow, FlowModel):
        flow = flow.flow
    _check_flow(flow)
    _check_directory(directory)
    check_flag("overwrite", overwrite)
    _check_run(run)
    directory = pathlib.Path(directory)
    check_directory(directory, overwrite=overwrite)
    served = Signatures(freeze(flow) if is_transformed(flow) else flow)
    # Traced before anything is written.
    signatures = served.by_name()
    metadata = describe(flow, signatures, run)
    with atomic_directory(directory, overwrite=overwrite) as temporary:
        tf.saved_model.save(served, temporary, signatures=signatures)
        path = metadata_path(temporary)
        path.parent.mkdir()
        write_json(path, metadata)
    return directory


def _check_flow(flow: tfd.Distribution) -> None:
    if not isinstance(flow, tfd.Distribution):
        raise TypeError(
            "flow: expected a tfd.Distribution or a FlowModel, got "
            f"{type(flow).__name__}."
        )
    if not isinstance(flow.dtype, tf.DType) or not flow.event_shape.is_fully_defined():
        raise ValueError(
            "flow: expected events that are single tensors of a known shape, got "
            f"{flow.event_shape}."
        )
    if flow.batch_shape != []:
        raise ValueError(
            f"flow: expected one without batch shape, got {flow.batch_shape}."
        )


def _check_directory(directory: str | os.PathLike) -> None:
    check_path("directory", directory)
    try:
        os.fspath(directory).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            "directory: expected a path in UTF-8, as TensorFlow writes to, got "
            f"{os.fspath(directory)!r}."
        ) from error


def _check_run(run: Mapping[str, Any] | None) -> None:
    if run is None:
        return
    message = (
        "run: expected a mapping of str to what JSON can hold, NaN excluded, or None; "
        f"got {shortened(run)}."
    )
    if not isinstance(run, Mapping) or not all(isinstance(name, str) for name in run):
        raise ValueError(message)
    try:
        json.dumps(dict(run), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(message) from error
