"""A flow as a TensorFlow SavedModel."""

from __future__ import annotations

import os
import pathlib

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import PixelLogit
from tfp_realnvp.flows.call_arguments import condition_size_of_flow, is_transformed
from tfp_realnvp.flows.freeze import freeze
from tfp_realnvp.flows.units import bits_per_dim
from tfp_realnvp.serving.directory import atomic_directory, check_directory

tfd = tfp.distributions


def export_saved_model(
    flow: tfd.Distribution, directory: str | os.PathLike, *, overwrite: bool = False
) -> pathlib.Path:
    """Writes a flow as a SavedModel that needs TensorFlow alone.

    Its signatures are

    ```none
    serving_default:  x [N, *event_shape]                  -> log_prob [N], in nats
                                                             bits_per_dim [N]
    sample:           num_samples [], seed [2], both int32 -> samples
                                                             [num_samples, *event_shape]
    ```

    with `bits_per_dim` for flows over pixels only (those with a `PixelLogit`). Their
    `x` are real-valued in [0, 256): to integer images `FlowModel` adds uniform noise
    in [0, 1), the artifact adds none. The same seed gives the same samples. Layers
    normalize by their moving averages, folded into kernels where `freeze` can.

    Args:
      flow: `tfd.Distribution` over events of a known shape, without batch shape and
        without condition.
      directory: Folder to write, which comes into being complete or not at all.
      overwrite: Python `bool`, whether to replace a folder that holds anything. It
        stays until the new one is complete.

    Returns:
      `directory`, as a `pathlib.Path`.

    Raises:
      FileExistsError: If `directory` is a file, or holds anything and `overwrite` is
        `False`.
      TypeError: If `flow` is no `tfd.Distribution`.
      ValueError: If it takes a condition, has a batch shape, or its events are not
        single tensors of a known shape.

    #### Example

    ```python
    >>> import tempfile
    >>> import tensorflow as tf
    >>> import tfp_realnvp as nvp
    >>> flow = nvp.image_flow(event_shape=(4, 4, 1), filters=4, num_blocks=1)
    >>> directory = nvp.export_saved_model(flow, tempfile.mkdtemp())
    >>> served = tf.saved_model.load(directory)
    >>> outputs = served.signatures["serving_default"](x=tf.zeros([2, 4, 4, 1]))
    >>> sorted(outputs)
    ['bits_per_dim', 'log_prob']
    >>> sample = served.signatures["sample"]
    >>> sample(num_samples=tf.constant(3), seed=tf.constant([0, 1]))["samples"].shape
    TensorShape([3, 4, 4, 1])

    ```
    """
    _check_flow(flow)
    directory = pathlib.Path(directory)
    check_directory(directory, overwrite=overwrite)
    served = _Served(freeze(flow) if is_transformed(flow) else flow)
    signatures = {"serving_default": served.log_prob, "sample": served.sample}
    # Traced before anything is written.
    signatures = {k: f.get_concrete_function() for k, f in signatures.items()}
    with atomic_directory(directory) as temporary:
        tf.saved_model.save(served, temporary, signatures=signatures)
    return directory


class _Served(tf.Module):
    """The functions of the artifact, with the variables that they read."""

    def __init__(self, flow: tfd.Distribution):
        super().__init__()
        # The variables alone: with the flow as an attribute the artifact would
        # describe every bijector and layer, which nobody can make use of.
        self.flow_variables = list(flow.variables)
        event = tf.TensorSpec([None, *flow.event_shape], flow.dtype, name="x")
        num_samples = tf.TensorSpec([], tf.int32, name="num_samples")
        seed = tf.TensorSpec([2], tf.int32, name="seed")
        is_over_pixels = any(isinstance(m, PixelLogit) for m in flow.submodules)

        @tf.function(input_signature=[event])
        def log_prob(x):
            outputs = {"log_prob": flow.log_prob(x)}
            if is_over_pixels:
                bits = bits_per_dim(outputs["log_prob"], flow.event_shape)
                outputs["bits_per_dim"] = bits
            return outputs

        @tf.function(input_signature=[num_samples, seed])
        def sample(num_samples, seed):
            samples = flow.sample(num_samples, seed=seed)
            return {"samples": tf.ensure_shape(samples, event.shape)}

        self.log_prob = log_prob
        self.sample = sample


def _check_flow(flow: tfd.Distribution) -> None:
    if not isinstance(flow, tfd.Distribution):
        raise TypeError(
            f"flow: expected a tfd.Distribution, got {type(flow).__name__}."
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
    condition_size = condition_size_of_flow(flow)
    if condition_size is not None:
        raise ValueError(
            "flow: expected one without condition, for the signatures have no argument "
            f"for it; got one with condition_size={condition_size}."
        )
