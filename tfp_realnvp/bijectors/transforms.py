"""What a coupling does to an entry, given its parameters."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_realnvp.arguments import check_int, check_number

_LEAST_BIN = 1e-3
_LEAST_SLOPE = 1e-3


@dataclasses.dataclass(frozen=True)
class Elementwise:
    """An elementwise bijection of your own.

    Args:
      function: Function of parameters, a `Tensor` of shape [..., num_parameters], that
        returns a `tfb.Bijector` of scalars with batch shape [...]. For `.keras` files
        it must be registered by `keras.saving.register_keras_serializable`.
      num_parameters: Python `int`, how many parameters an entry has.
    """

    function: Callable[[tf.Tensor], tfb.Bijector]
    num_parameters: int

    def __call__(self, parameters: tf.Tensor) -> tfb.Bijector:
        return self.function(parameters)


@dataclasses.dataclass(frozen=True)
class Additive:
    """The shift of NICE, `y = x + t`.

    #### References

    [1]: Laurent Dinh, David Krueger, Yoshua Bengio. NICE: Non-linear Independent
         Components Estimation. https://arxiv.org/abs/1410.8516
    """

    num_parameters = 1

    def __call__(self, parameters: tf.Tensor) -> tfb.Bijector:
        return tfb.Shift(tf.squeeze(parameters, axis=-1))


@dataclasses.dataclass(frozen=True)
class RationalQuadraticSpline:
    """A monotonic spline on [-bound, bound] that is the identity outside.

    Its parameters, all unconstrained, are the widths and heights of the bins and the
    slopes between them. Parameters of 0 give the identity.

    Args:
      num_bins: Python `int`.
      bound: Python `float`.

    #### References

    [1]: Conor Durkan, Artur Bekasov, Iain Murray, George Papamakarios. Neural Spline
         Flows. https://arxiv.org/abs/1906.04032
    """

    num_bins: int = 8
    bound: float = 5.0

    def __post_init__(self) -> None:
        # Otherwise the minimum widths would fill the whole interval.
        check_int("num_bins", self.num_bins, most=int(1 / _LEAST_BIN) // 2)
        check_number("bound", self.bound, least=1e-6, expected="a positive number")

    @property
    def num_parameters(self) -> int:
        """How many parameters an entry has."""
        return 3 * self.num_bins - 1

    def __call__(self, parameters: tf.Tensor) -> tfb.Bijector:
        bins = self.num_bins
        widths, heights, slopes = tf.split(parameters, [bins, bins, bins - 1], axis=-1)
        # Its softplus is 1 minus the minimum slope.
        start = tf.math.log(
            tf.math.expm1(tf.constant(1 - _LEAST_SLOPE, parameters.dtype))
        )
        return _Spline(
            bin_widths=self._shared_out(widths),
            bin_heights=self._shared_out(heights),
            knot_slopes=_LEAST_SLOPE + tf.nn.softplus(slopes + start),
            range_min=-self.bound,
        )

    def _shared_out(self, raw: tf.Tensor) -> tf.Tensor:
        shares = tf.nn.softmax(raw)
        return 2 * self.bound * (_LEAST_BIN + (1 - self.num_bins * _LEAST_BIN) * shares)


class _Spline(tfb.RationalQuadraticSpline):
    """TFP's own, with knots that are right in `tf.vectorized_map` too.

    TFP pads them by `tf.pad`, which there forgets what to pad with: log-densities would
    be wrong, in joint distributions with automatic batching also.
    """

    def _compute_shared(
        self, x: tf.Tensor | None = None, y: tf.Tensor | None = None
    ) -> types.SimpleNamespace:
        one = tf.ones_like(self.bin_widths[..., :1])
        start = self.range_min * one
        knots = [
            tf.concat([start, start + tf.cumsum(sizes, axis=-1)], axis=-1)
            for sizes in (self.bin_widths, self.bin_heights)
        ]
        knots.append(tf.concat([one, self.knot_slopes, one], axis=-1))
        value, at = (y, knots[1]) if x is None else (x, knots[0])
        outside = (value <= at[..., 0]) | (value >= at[..., -1])
        inside = tf.where(outside, at[..., 0], value)
        is_passed = inside[..., tf.newaxis] >= at[..., 1:-1]
        left = tf.reduce_sum(tf.cast(is_passed, tf.int32), axis=-1)

        def pick(knots: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
            shape = tf.concat([tf.shape(index), tf.shape(knots)[-1:]], axis=0)
            return tf.gather(
                tf.broadcast_to(knots, shape), index, batch_dims=index.shape.rank
            )

        (x_k, y_k, d_k), (x_kp1, y_kp1, d_kp1) = (
            [pick(k, index) for k in knots] for index in (left, left + 1)
        )
        h_k, w_k = y_kp1 - y_k, x_kp1 - x_k
        return types.SimpleNamespace(
            out_of_bounds=outside,
            **{"x_k": x_k, "y_k": y_k, "d_k": d_k, "d_kp1": d_kp1},
            **{"h_k": h_k, "w_k": w_k, "s_k": h_k / w_k},
        )
