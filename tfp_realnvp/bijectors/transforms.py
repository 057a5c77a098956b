"""What a `Coupling` can do to an entry, given parameters."""

from __future__ import annotations

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

_LEAST_BIN = 1e-3
_LEAST_SLOPE = 1e-3


def additive(parameters: tf.Tensor) -> tfb.Bijector:
    """Returns the shift of NICE, `y = x + t`.

    Args:
      parameters: `Tensor` of shape [..., 1].

    #### References

    [1]: Laurent Dinh, David Krueger, Yoshua Bengio. NICE: Non-linear Independent
         Components Estimation. https://arxiv.org/abs/1410.8516
    """
    return tfb.Shift(tf.squeeze(parameters, axis=-1))


def rational_quadratic_spline(
    parameters: tf.Tensor, *, bound: float = 5.0
) -> tfb.Bijector:
    """Returns a monotonic spline on [-bound, bound] that is the identity outside.

    Parameters of 0 give the identity.

    Args:
      parameters: `Tensor` of shape [..., 3 K - 1], for K bins: their widths and
        heights, and the slopes between them, none of them constrained.
      bound: Python `float`. `functools.partial` gives another.

    Raises:
      ValueError: If the number of parameters is none of 2, 5, 8, ...

    #### References

    [1]: Conor Durkan, Artur Bekasov, Iain Murray, George Papamakarios. Neural Spline
         Flows. https://arxiv.org/abs/1906.04032
    """
    bins, rest = divmod(parameters.shape[-1] + 1, 3)
    if rest or not bins:
        raise ValueError(
            "parameters: expected 3 K - 1 for a spline of K bins, such as 23, got "
            f"{parameters.shape[-1]} for each entry."
        )
    widths, heights, slopes = tf.split(parameters, [bins, bins, bins - 1], axis=-1)

    def sizes(raw: tf.Tensor) -> tf.Tensor:
        return 2 * bound * (_LEAST_BIN + (1 - bins * _LEAST_BIN) * tf.nn.softmax(raw))

    # Softplus of this is 1 less the least slope.
    start = tf.math.log(tf.math.expm1(tf.constant(1 - _LEAST_SLOPE, parameters.dtype)))
    return tfb.RationalQuadraticSpline(
        bin_widths=sizes(widths),
        bin_heights=sizes(heights),
        knot_slopes=_LEAST_SLOPE + tf.nn.softplus(slopes + start),
        range_min=-bound,
    )
