"""A distribution over images, preprocessing included, and its unit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from tensorflow_probability.python.distributions.transformed_distribution import (
    _TransformedDistribution,
)

from tfp_realnvp.arguments import checked_array, checked_shape, shortened
from tfp_realnvp.bijectors import FusedChain, PixelLogit
from tfp_realnvp.bijectors.fused import rebuild
from tfp_realnvp.bijectors.inputs import check_floating
from tfp_realnvp.flows.architectures import MultiScale
from tfp_realnvp.flows.couplings import ResNetConditioner
from tfp_realnvp.flows.presets import resolve_preset
from tfp_realnvp.flows.real_nvp import RealNVPBijector


def image_flow(
    preset: str | None = None,
    *,
    event_shape: Sequence[int] | None = None,
    base: tfd.Distribution | None = None,
    alpha: float = 0.05,
    validate_args: bool = True,
    name: str = "image_flow",
    **sizes: Any,
) -> tfd.TransformedDistribution:
    """Returns a Real NVP over pixels in [0, 256).

    ```none
    z ~ base,   pixels = PixelLogit(RealNVPBijector(z))
    ```

    The density is over real-valued pixels: add uniform noise in [0, 1) to 8-bit
    images, as `FlowModel` does (Section 4.1). It includes the logit's Jacobian, so its
    `bits_per_dim` are comparable with published ones.

    Args:
      preset: Python `str`, a key of `PRESETS`, or `None` to give `event_shape`.
      event_shape: Sequence of Python `int`s, (height, width, channels); overrides
        the preset's.
      base: `tfd.Distribution` of the latents, of the image's event shape; `None` is
        the unit normal.
      alpha: Python `float`, see `PixelLogit`.
      validate_args: Python `bool`. If `True`, `log_prob` of NaN or of values that
        are not pixels raises an error instead of returning NaN.
      name: Python `str`.
      **sizes: Further arguments of `RealNVPBijector`, which override the preset's.

    Returns:
      `tfd.TransformedDistribution` with the event shape of the images. Its samples
      are real-valued and can leave [0, 256) by a little, see `PixelLogit`. A copy with
      a base of another size, `flow.copy(distribution=larger)`, is a flow over images of
      that size with the same weights.

    Raises:
      TypeError: If `sizes` holds anything else.
      ValueError: If an argument is invalid, or if neither `preset` nor `event_shape`
        is given.

    #### Example

    ```python
    >>> import tensorflow_probability as tfp
    >>> import tfp_realnvp as nvp
    >>> flow = nvp.image_flow(event_shape=(8, 8, 1), filters=8, num_blocks=1)
    >>> flow.sample(2, seed=0).shape
    TensorShape([2, 8, 8, 1])
    >>> base = tfp.distributions.Sample(tfp.distributions.Normal(0., 1.), [16, 16, 1])
    >>> flow.copy(distribution=base).sample(2, seed=0).shape
    TensorShape([2, 16, 16, 1])

    ```

    #### References

    [1]: Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio. Density estimation using
         Real NVP, Section 4.1. https://arxiv.org/abs/1605.08803
    """
    options = {} if preset is None else resolve_preset(preset)
    usual = {"architecture": MultiScale, "conditioner": ResNetConditioner}
    for part in usual.keys() & sizes.keys():
        # It comes with its own sizes.
        for field in dataclasses.fields(usual[part]):
            options.pop(field.name, None)
    options.update(sizes)
    if event_shape is not None:
        options["event_shape"] = event_shape
    if "event_shape" not in options:
        raise ValueError("event_shape: expected one, or a preset; got neither.")
    to_pixels = PixelLogit(alpha, validate_args=validate_args)
    with tf.name_scope(name):
        real_nvp = RealNVPBijector(**options, validate_args=validate_args)
        shape = real_nvp.event_shape
        if len(shape) != 3:
            raise ValueError(
                f"event_shape: expected (height, width, channels), got {shape}."
            )
        if base is None:
            zeros = tf.zeros(shape, real_nvp.dtype)
            base = tfd.Independent(tfd.Normal(zeros, 1), 3, name="base")
        if getattr(base, "event_shape", None) != shape:
            raise ValueError(
                f"base: expected event shape {shape}, got {shortened(base)}."
            )
        chain = FusedChain([to_pixels, real_nvp], validate_args=validate_args)
        return ImageFlow(base, chain, validate_args=validate_args, name=name)


def bits_per_dim(log_prob: Any, event_shape: Sequence[int]) -> Any:
    """Returns a log-density over pixels in [0, 256) as bits per dimension.

    ```none
    bits_per_dim = -log_prob / (D log 2),   D = product of event_shape
    ```

    Args:
      log_prob: Log-density in nats, array or `Tensor` of any shape.
      event_shape: Sequence of Python `int`s, shape of one image.

    Returns:
      A number, array or `Tensor` like `log_prob`, in bits per dimension. A uniform
      density over [0, 256) gives exactly 8.

    #### Example

    ```python
    >>> import math
    >>> import tfp_realnvp as nvp
    >>> nvp.bits_per_dim(-12 * math.log(256), event_shape=(2, 2, 3))
    8.0

    ```
    """
    expected = "a sequence of positive ints"
    dimensions = math.prod(checked_shape("event_shape", event_shape, expected=expected))
    if not (tf.is_tensor(log_prob) or isinstance(log_prob, (int, float))):
        log_prob = checked_array("log_prob", log_prob)
    # Unsigned integers cannot be negated.
    return log_prob / -(dimensions * math.log(2))


class ImageFlow(_TransformedDistribution):
    """A `tfd.TransformedDistribution` with clear errors for invalid images."""

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, (type(self), self.parameters)

    def _call_log_prob(self, value: Any, name: str, **kwargs: Any) -> tf.Tensor:
        self._check(value)
        return super()._call_log_prob(value, name, **kwargs)

    def _check(self, value: Any) -> None:
        # TFP turns integers that are not tensors into floats before we see them.
        for part in tf.nest.flatten(value)[:1]:
            check_floating("value", part if hasattr(part, "dtype") else np.array(part))
        shape = tf.TensorShape(getattr(value, "shape", None))
        size = shape[-3:] if (shape.rank or 0) >= 3 else tf.TensorShape(None)
        # The bijector has its own error for channels, which are the same in all copies.
        channels_fit = size[-1:].is_compatible_with(self.event_shape[-1:])
        if channels_fit and not self.event_shape.is_compatible_with(size):
            raise ValueError(
                f"value: expected images of shape {tuple(self.event_shape)}, got "
                f"{shape}. For images of another size, with the same weights, give a "
                "copy a base of that size: flow.copy(distribution=tfd.Sample("
                f"tfd.Normal(0.0, 1.0), {size.as_list()}))."
            )
