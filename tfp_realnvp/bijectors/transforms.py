"""What a coupling does to an entry, given its parameters."""

from __future__ import annotations

import dataclasses
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
        # So that the least widths leave something to share out.
        check_int("num_bins", self.num_bins, most=int(1 / _LEAST_BIN) // 2)
        check_number("bound", self.bound, least=1e-6, expected="a positive number")

    @property
    def num_parameters(self) -> int:
        """How many parameters an entry has."""
        return 3 * self.num_bins - 1

    def __call__(self, parameters: tf.Tensor) -> tfb.Bijector:
        bins = self.num_bins
        widths, heights, slopes = tf.split(parameters, [bins, bins, bins - 1], axis=-1)
        # Softplus of this is 1 less the least slope.
        start = tf.math.log(
            tf.math.expm1(tf.constant(1 - _LEAST_SLOPE, parameters.dtype))
        )
        return tfb.RationalQuadraticSpline(
            bin_widths=self._shared_out(widths),
            bin_heights=self._shared_out(heights),
            knot_slopes=_LEAST_SLOPE + tf.nn.softplus(slopes + start),
            range_min=-self.bound,
        )

    def _shared_out(self, raw: tf.Tensor) -> tf.Tensor:
        shares = tf.nn.softmax(raw)
        return 2 * self.bound * (_LEAST_BIN + (1 - self.num_bins * _LEAST_BIN) * shares)
