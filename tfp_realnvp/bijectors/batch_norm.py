"""Batch normalization as a bijector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.fused import FusedBijector
from tfp_realnvp.bijectors.inputs import (
    event_shape_from,
    event_shape_of,
)
from tfp_realnvp.bijectors.masks import Mask, resolve_mask
from tfp_realnvp.nets.batch_norm import BatchMoments, check_epsilon


class BatchNorm(FusedBijector):
    """Normalizes data on its way to the latent space, channel by channel.

    ```none
    inverse:  x = (y - mean) / sqrt(variance + epsilon)
    forward:  y = x * sqrt(variance + epsilon) + mean
    inverse_log_det_jacobian = -0.5 * sum(log(variance + epsilon))
    ```

    In `inverse(y, training=True)`, `mean` and `variance` are those that `moments`
    gives for the batch `y` (Section 3.7, or Appendix E), and the moving averages are
    updated once. Everywhere else they are the moving averages. `forward` always uses
    these, because a batch of latents says nothing about the data.

    Args:
      event_shape: Sequence of Python `int`s, shape of an event, channels last.
      moments: `BatchMoments` layer; `None` makes a default one.
      mask: Boolean array that broadcasts against the event, `True` where an entry
        passes through unchanged and does not count, or a function from event shape
        to such an array; the mask of the coupling whose output is normalized. `None`
        normalizes everything.
      epsilon: Python `float` added to the variance.
      validate_args: Python `bool`, as for every `tfb.Bijector`.
      name: Python `str`.

    Raises:
      TypeError: If `mask` is not boolean.
      ValueError: If `event_shape` is not a shape, `epsilon` negative, or if `mask` does
        not fit `event_shape`.

    #### Example

    ```python
    >>> import tensorflow as tf
    >>> import tfp_realnvp as nvp
    >>> norm = nvp.BatchNorm((2,))
    >>> x = norm.inverse(tf.constant([[1., 5.], [3., 9.]]), training=True)
    >>> print(x.numpy().round(3))
    [[-1. -1.]
     [ 1.  1.]]

    ```

    #### References

    [1]: Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio. Density estimation using
         Real NVP, Section 3.7 and Appendix E. https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        moments: BatchMoments | None = None,
        *,
        mask: Mask | None = None,
        epsilon: float = 1e-4,
        validate_args: bool = False,
        name: str = "batch_norm",
    ):
        parameters = dict(locals())
        check_epsilon(epsilon)
        event_shape = event_shape_from(event_shape)
        with tf.name_scope(name) as name:
            self._mask = mask
            self._epsilon = float(epsilon)
            if mask is not None:
                resolve_mask(mask, event_shape)
            moments = moments or BatchMoments()
            if not moments.built:
                moments.build((None, *event_shape))
            # With the layer among the parameters, copies share it, and TFP does not
            # take two bijectors made from the same numbers for equal.
            parameters["moments"] = moments
            super().__init__(
                event_ndims=len(event_shape),
                event_shape=event_shape,
                any_size=mask is None or callable(mask),
                layers=(moments,),
                parameters=parameters,
                validate_args=validate_args,
                name=name,
            )
            self._moments = moments

    @property
    def moments(self) -> BatchMoments:
        """The layer that holds the moving averages."""
        return self._moments

    def _value_and_log_det(
        self, value: tf.Tensor, *, inverse: bool, training: bool = False, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        training = training and inverse
        log_scale, mean, log_det = self._log_scale_and_mean(value, training=training)
        if inverse:
            return (value - mean) * tf.exp(-log_scale), -log_det
        return value * tf.exp(log_scale) + mean, log_det

    def _log_scale_and_mean(
        self, value: tf.Tensor, *, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        shape = event_shape_of(value, self.event_ndims)
        weights, changes = None, tf.ones([1] * len(shape), value.dtype)
        if self._mask is not None:
            weights = changes = tf.cast(~resolve_mask(self._mask, shape), value.dtype)
        mean, variance = self._moments(value, weights=weights, training=training)
        mean = tf.cast(mean, value.dtype)
        log_scale = 0.5 * tf.math.log(tf.cast(variance, value.dtype) + self._epsilon)
        log_scale *= changes
        # How many entries of an event each entry of `log_scale` applies to.
        scales = math.prod(event_shape_of(log_scale, self.event_ndims))
        repeats = math.prod(shape) // scales
        log_det = tf.cast(repeats, value.dtype) * tf.reduce_sum(log_scale)
        batch_log_det = tf.fill(tf.shape(value)[:1], log_det)
        return log_scale, mean * changes, batch_log_det
