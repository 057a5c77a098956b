"""A conditional bijector with its condition given."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.arguments import shortened
from tfp_realnvp.bijectors.fused import FusedBijector
from tfp_realnvp.bijectors.inputs import encode_condition


class Conditioned(FusedBijector):
    """A conditional bijector whose condition is fixed when it is made.

    ```none
    forward:  y = bijector.forward(x, condition=condition)
    ```

    It takes no argument `condition` and shares the weights of `bijector`, so it works
    where TFP passes no arguments on: in mixtures, and in joint distributions as a
    function of other variables. Leading dimensions of the condition are a batch shape:
    given six labels, a `tfd.TransformedDistribution` draws one event for each, and
    scores events [6, ...] each under its own label.

    Args:
      bijector: `FusedBijector` with a `condition_size`.
      condition: Integer labels of shape [...], or floating or boolean vectors of shape
        [..., condition_size].
      validate_args: Python `bool`, as for every `tfb.Bijector`; labels in a graph are
        checked if it is `True`.
      name: Python `str`.

    Raises:
      TypeError: If `condition` is a variable, which may change later.
      ValueError: If `bijector` takes no condition, or `condition` does not fit.

    #### Example

    ```python
    >>> import tensorflow as tf, tensorflow_probability as tfp
    >>> import tfp_realnvp as nvp
    >>> tfd = tfp.distributions
    >>> bijector = nvp.RealNVPBijector((2,), condition_size=3, seed=0)
    >>> base = tfd.MultivariateNormalDiag(tf.zeros(2))
    >>> labels = [0, 2, 1, 1]
    >>> flow = tfd.TransformedDistribution(base, nvp.Conditioned(bijector, labels))
    >>> flow.sample(seed=(0, 1)).shape
    TensorShape([4, 2])

    ```
    """

    def __init__(
        self,
        bijector: FusedBijector,
        condition: Any,
        *,
        validate_args: bool = False,
        name: str = "conditioned",
    ):
        parameters = dict(locals())
        if getattr(bijector, "condition_size", None) is None:
            raise ValueError(
                "bijector: expected one with a condition_size, got "
                f"{shortened(bijector)}."
            )
        if isinstance(
            condition, (tf.Variable, keras.Variable, tfp.util.DeferredTensor)
        ):
            raise TypeError(
                "condition: expected labels or vectors, got a variable, which may "
                "change later. Give what it is now, tf.convert_to_tensor(condition), "
                "where the bijector is used."
            )
        with tf.name_scope(name) as name:
            dtype = bijector.dtype or tf.float32
            self._condition = encode_condition(
                condition, bijector.condition_size, dtype, validate_args=validate_args
            )
            parameters["condition"] = self._condition
            self._bijector = bijector
            super().__init__(
                event_ndims=bijector.event_ndims,
                dtype=bijector.dtype,
                parameters=parameters,
                validate_args=validate_args,
                name=name,
            )

    @property
    def bijector(self) -> FusedBijector:
        """The conditional bijector."""
        return self._bijector

    @property
    def condition(self) -> tf.Tensor:
        """The condition as vectors, of shape [..., condition_size]."""
        return self._condition

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType | None) -> dict[str, Any]:
        return {"condition": tfp.util.ParameterProperties(event_ndims=1)}

    def _transform(
        self, value: tf.Tensor, *, inverse: bool, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        # Chains pass the condition of other members to all members; ignored here.
        kwargs["condition"] = self._condition
        return self._bijector._transform(value, inverse=inverse, **kwargs)

    _value_and_log_det = _transform

    def _checked_event_shape(self, shape: tf.TensorShape, name: str) -> tf.TensorShape:
        return self._bijector._checked_event_shape(shape, name)

    def _forward_event_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return self._bijector.forward_event_shape(input_shape)

    def _inverse_event_shape(self, output_shape: tf.TensorShape) -> tf.TensorShape:
        return self._bijector.inverse_event_shape(output_shape)

    def _forward_event_shape_tensor(self, input_shape: tf.Tensor) -> tf.Tensor:
        return self._bijector.forward_event_shape_tensor(input_shape)

    def _inverse_event_shape_tensor(self, output_shape: tf.Tensor) -> tf.Tensor:
        return self._bijector.inverse_event_shape_tensor(output_shape)
