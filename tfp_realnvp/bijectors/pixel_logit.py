"""From pixels to the real line."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.arguments import check_number
from tfp_realnvp.bijectors.fused import FusedBijector

# How far rounding can move samples beyond the range, in pixels.
_TOLERANCE = 1e-3


class PixelLogit(FusedBijector):
    """Maps real numbers to pixels in [0, 256), element by element.

    ```none
    inverse:  x = logit(alpha + (1 - 2 alpha) y / 256)
    forward:  y = 256 (sigmoid(x) - alpha) / (1 - 2 alpha)
    ```

    `alpha > 0` keeps the logit of pixels 0 and 255 finite. It also leaves a margin:
    `forward` reaches (-256 alpha, 256 (1 - alpha)) / (1 - 2 alpha), for the paper's
    `alpha = 0.05` about (-14.2, 270.2), and a well-trained flow puts next to no mass
    outside [0, 256).

    Args:
      alpha: Python `float` in (0, 0.5).
      validate_args: Python `bool`. If `True`, `inverse` raises
        `tf.errors.InvalidArgumentError` for NaN and for values outside the range of
        `forward`, instead of returning NaN.
      name: Python `str`.

    Raises:
      ValueError: If `alpha` is not in (0, 0.5).

    #### Example

    ```python
    >>> import tfp_realnvp as nvp
    >>> logit = nvp.PixelLogit()
    >>> round(float(logit.forward(logit.inverse(255.))), 3)
    255.0

    ```

    #### References

    [1]: Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio. Density estimation using
         Real NVP, Section 4.1. https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        alpha: float = 0.05,
        *,
        validate_args: bool = False,
        name: str = "pixel_logit",
    ):
        parameters = dict(locals())
        check_alpha(alpha)
        with tf.name_scope(name) as name:
            self._alpha = alpha
            super().__init__(
                event_ndims=0,
                parameters=parameters,
                validate_args=validate_args,
                name=name,
            )

    @property
    def alpha(self) -> float:
        """The margin that keeps the logit finite."""
        return self._alpha

    @property
    def pixel_range(self) -> tuple[float, float]:
        """The ends of the range that `forward` reaches, [0, 256) and a margin."""
        return -self._alpha / self._slope, (1 - self._alpha) / self._slope

    @property
    def _slope(self) -> float:
        return (1 - 2 * self._alpha) / 256

    def _value_and_log_det(
        self, value: tf.Tensor, *, inverse: bool, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if inverse:
            x = self._logit(value)
            return x, self._log_slope_of_logit(x)
        y = (tf.sigmoid(value) - self._alpha) / self._slope
        return y, -self._log_slope_of_logit(value)

    def _logit(self, y: tf.Tensor) -> tf.Tensor:
        low, high = self.pixel_range
        in_range = (y > low - _TOLERANCE) & (y < high + _TOLERANCE)
        if self.validate_args:
            message = (
                "pixels: expected values in [0, 256), or at least in the range "
                f"({low:.1f}, {high:.1f}) of PixelLogit, and no NaN; got values from"
            )
            found = [message, tf.reduce_min(y), "to", tf.reduce_max(y)]
            check = tf.debugging.Assert(tf.reduce_all(in_range), found)
            with tf.control_dependencies([check]):
                y = tf.identity(y)
        # Samples whose sigmoid was rounded to 0 or 1 still get finite latents.
        epsilon = np.finfo(y.dtype.as_numpy_dtype).eps
        p = tf.clip_by_value(self._alpha + self._slope * y, epsilon, 1 - epsilon)
        # The logarithm is NaN outside of the range. A constant NaN in `tf.where` would
        # make `tf.debugging.enable_check_numerics` fail even for valid pixels.
        p = tf.where(in_range, p, -1)
        # As accurate as log1p: 1 - p is exact where it is small. ONNX has no log1p.
        return tf.math.log(p) - tf.math.log(1 - p)

    def _log_slope_of_logit(self, x: tf.Tensor) -> tf.Tensor:
        # d logit(p) / dp = 1 / (p (1 - p)), and log(p (1 - p)) is this sum.
        return math.log(self._slope) + tf.nn.softplus(x) + tf.nn.softplus(-x)


def check_alpha(alpha: Any) -> None:
    """Raises `ValueError` unless `alpha` is a number in (0, 0.5)."""
    least, most = math.nextafter(0, 1), math.nextafter(0.5, 0)
    check_number("alpha", alpha, least=least, most=most, expected="a value in (0, 0.5)")
