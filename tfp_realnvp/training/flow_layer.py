"""A distribution as a Keras layer."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import check_seed, check_text, shortened
from tfp_realnvp.bijectors import FusedBijector
from tfp_realnvp.bijectors.moment import tell_which_are_trainable
from tfp_realnvp.flows import bits_per_dim
from tfp_realnvp.flows.call_arguments import (
    condition_size_of_flow,
    distribution_kwargs,
    is_transformed,
    pixel_logit_of,
    reached_bijectors,
)
from tfp_realnvp.flows.config import from_config, to_config
from tfp_realnvp.nets import BatchMoments
from tfp_realnvp.nets.parts import num_replicas
from tfp_realnvp.training.functions import batch_number, dequantized
from tfp_realnvp.training.inputs import check_given, checked_labels, checked_pixels


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class FlowLayer(keras.layers.Layer):
    """Computes log-densities of examples in a Keras model of your own.

    ```none
    layer(x, condition)  =  log_prob(x | condition), in nats, of shape [N]
    ```

    Keras sees no weights in a `tfd.Distribution`: a model that keeps one as an
    attribute neither trains nor saves it. In this layer it sees them all. `x` may be
    symbolic, like the tensors of `keras.Input`.

    To integer images the layer adds uniform dequantization noise in [0, 1), new at
    every call in training and the same otherwise.

    Args:
      flow: `tfd.Distribution` with a static event shape and no batch shape.
      seed: Python `int` or `None`, seeds the noise added to integer images.
      name: Python `str`.

    Raises:
      TypeError: If `flow` is not a `tfd.Distribution`.
      ValueError: If it is a batch of distributions, or contains conditional or
        batch-normalized flows to which it does not pass `condition` and `training`, as
        a mixture does.

    #### Example

    ```python
    >>> import keras
    >>> import tensorflow as tf
    >>> import tensorflow_probability as tfp
    >>> import tfp_realnvp as nvp
    >>> tfd = tfp.distributions
    >>> base = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    >>> flow = tfd.TransformedDistribution(base, nvp.RealNVPBijector((2,)))
    >>> inputs = keras.Input((5,))
    >>> features = keras.layers.Dense(2)(inputs)
    >>> model = keras.Model(inputs, nvp.FlowLayer(flow)(features))
    >>> len(model.trainable_variables) == 2 + len(flow.trainable_variables)
    True

    ```
    """

    def __init__(
        self, flow: tfd.Distribution, *, seed: int | None = None, name: str = "flow"
    ):
        _check_flow(flow)
        check_seed("seed", seed)
        check_text("name", name)
        super().__init__(name=name, dtype=tf.as_dtype(flow.dtype).name)
        self.flow = flow
        self.seed = seed
        # Keras does not look into distributions, so this layer holds their layers.
        self._flow_layers = keras_layers(flow)
        self._flow_variables = _other_variables(flow)
        self.condition_size = condition_size_of_flow(flow)
        self.is_over_pixels = pixel_logit_of(flow) is not None
        self._training_noise = keras.random.SeedGenerator(seed, name="training_noise")
        self._evaluation_noise = keras.random.SeedGenerator(
            0 if seed is None else seed, name="evaluation_noise"
        )
        self.built = True

    def call(self, x: Any, condition: Any = None, training: bool = False) -> tf.Tensor:
        """Returns `log_prob(x | condition)` in nats, of shape [batch]."""
        return self.log_prob_parts(x, condition, training=training)[0]

    def compute_output_spec(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return keras.KerasTensor(x.shape[:1], dtype=self.variable_dtype)

    def log_prob_parts(
        self, x: Any, condition: Any = None, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns `log_prob(x | condition)`, and the base distribution's part of it.

        Args:
          x: `Tensor` of events, of shape [N, *event_shape] and any real dtype.
          condition: `Tensor` of labels or vectors, if the flow takes a condition.
          training: Python `bool`.

        Returns:
          Two `Tensor`s of shape [N], in nats: the log-density, and that of the latents
          under the base distribution, which differs from the first by the
          log-determinant. The second is `None` unless the flow is a transformed
          distribution whose base has the same event shape.

        Raises:
          ValueError: If a condition is missing, or the flow takes none.
          tf.errors.InvalidArgumentError: If `x` must be pixels and is not, or a label
            is out of range.
        """
        check_given(condition, self.condition_size)
        x = tf.convert_to_tensor(x)
        if x.shape.rank is None:
            x = tf.ensure_shape(x, [None, *self.flow.event_shape])
        if self.condition_size is not None:
            condition = tf.convert_to_tensor(condition)
            condition = checked_labels(condition, self.condition_size)
        is_bad = None
        if self.is_over_pixels:
            x, is_bad = self._real_pixels(x, training=training)
        x = tf.cast(x, self.flow.dtype)
        size = tf.shape(x)[0]
        may_be_empty = x.shape[:1] in ([None], [0])
        if may_be_empty and (num_replicas() == 1 or not training):
            # TensorFlow's kernels fail on empty batches. Replicas that train together
            # do without: their batch moments must not include padding.
            x, condition = _at_least_one(x), _at_least_one(condition)
        log_prob, prior = self._log_prob_and_prior(x, condition, training=training)
        if may_be_empty:
            log_prob = log_prob[:size]
            prior = None if prior is None else prior[:size]
        if is_bad is not None:
            # NaN where it is bad, but not as a constant, see `PixelLogit`.
            log_prob += tf.math.log(1 - 2 * tf.cast(is_bad, log_prob.dtype))
        return log_prob, prior

    def to_units(self, log_prob: tf.Tensor) -> tf.Tensor:
        """Returns the negative of a log-density, in bits/dim over pixels or nats."""
        if self.is_over_pixels:
            return bits_per_dim(log_prob, self.flow.event_shape)
        return -log_prob

    @property
    def noise_states(self) -> list[keras.Variable]:
        """The states of the noise generators for training and for evaluation."""
        return [self._training_noise.state, self._evaluation_noise.state]

    @property
    def non_trainable_state(self) -> list[keras.Variable]:
        """The variables that a training pass changes: moving averages, noise state."""
        return [*self.non_trainable_variables, self._training_noise.state]

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store["num_weights"] = np.array(len(self.weights))

    def load_own_variables(self, store: Any) -> None:
        # Keras skips weights that a smaller flow has no place for.
        expected = np.array(len(self.weights))
        own = dict(store)
        count = own.pop("num_weights", expected)[()]
        if count != expected:
            raise ValueError(
                f"weights: expected those of a flow with {expected} weights, got "
                f"{count}. Build the flow with the arguments of the saved one."
            )
        super().load_own_variables(own)

    def get_config(self) -> dict[str, Any]:
        return {"flow": to_config(self.flow), "seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FlowLayer:
        if not isinstance(config, dict) or "flow" not in config:
            raise ValueError(
                f"config: expected what get_config returns, got {shortened(config)}."
            )
        return cls(**{**config, "flow": from_config(config["flow"])})

    def _real_pixels(
        self, x: tf.Tensor, *, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns dequantized images, and in training which of them hold NaN.

        NaN is an error, but in training `on_non_finite` decides what happens, so images
        with NaN become zeros here, which pass the checks of the flow.
        """
        if not x.dtype.is_floating:
            x = tf.cast(checked_pixels(x), self.flow.dtype)
            return dequantized(x, self._noise_seed(x, training=training)), None
        if not training:
            return checked_pixels(x), None
        axes = list(range(1, x.shape.rank))
        is_bad = tf.reduce_any(tf.math.is_nan(x), axis=axes, keepdims=True)
        x = tf.where(is_bad, tf.zeros([], x.dtype), x)
        return checked_pixels(x), tf.reshape(is_bad, [-1])

    def _noise_seed(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        if training:
            # In a graph that also gets the batch, the noise must not move at its end.
            with tf.control_dependencies([x]):
                return self._training_noise.next()
        start = tf.convert_to_tensor(self._evaluation_noise.state.value)
        return start + tf.stack([0, tf.cast(batch_number(), start.dtype)])

    def _log_prob_and_prior(
        self, x: tf.Tensor, condition: Any, *, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        flow = self.flow
        kwargs = distribution_kwargs(flow, training=training, condition=condition)
        base = flow.distribution if is_transformed(flow) else None
        if base is None or base.event_shape != flow.event_shape:
            return flow.log_prob(x, **kwargs), None
        of_bijector = kwargs.get("bijector_kwargs", {})
        # As in `tfd.TransformedDistribution`, but with access to both parts.
        latents = flow.bijector.inverse(x, **of_bijector)
        log_det = flow.bijector.forward_log_det_jacobian(
            latents, event_ndims=flow.event_shape.rank, **of_bijector
        )
        prior = base.log_prob(latents, **kwargs.get("distribution_kwargs", {}))
        log_prob = prior - log_det
        return log_prob, tf.broadcast_to(prior, tf.shape(log_prob))


def _at_least_one(value: tf.Tensor | None) -> tf.Tensor | None:
    if value is None:
        return None
    missing = tf.cast(tf.equal(tf.shape(value)[0], 0), tf.int32)
    return tf.pad(value, [[0, missing], *[[0, 0]] * (value.shape.rank - 1)])


def keras_layers(module: tf.Module) -> list[keras.layers.Layer]:
    """Returns the Keras layers anywhere in `module`, each once."""
    kind = keras.layers.Layer
    return list(module._flatten(predicate=lambda value: isinstance(value, kind)))


class _Variable(keras.Variable):
    """A Keras variable around a `tf.Variable` that passes `trainable` on to it."""

    @keras.Variable.trainable.setter
    def trainable(self, value: bool) -> None:
        keras.Variable.trainable.fset(self, value)
        tell_which_are_trainable([self])


def _other_variables(module: tf.Module) -> list[keras.Variable]:
    """Returns the variables outside of Keras layers, wrapped and not copied."""
    in_layers = {id(v.value) for layer in keras_layers(module) for v in layer.weights}
    found = []
    for variable in {id(v): v for v in module.variables}.values():
        if id(variable) in in_layers:
            continue
        wrapper = _Variable(
            variable,
            trainable=variable.trainable,
            dtype=variable.dtype.name,
            name=variable.name.partition(":")[0].replace("/", "_"),
        )
        # Keras before 3.9 copies the value into a variable of its own.
        wrapper._value = variable
        found.append(wrapper)
    return found


def _check_flow(flow: tfd.Distribution) -> None:
    if not isinstance(flow, tfd.Distribution):
        raise TypeError(
            f"flow: expected a tfd.Distribution, got {type(flow).__name__}."
        )
    if flow.batch_shape.rank:
        raise ValueError(
            "flow: expected one distribution, got a batch of them, of batch_shape "
            f"{flow.batch_shape}; tfd.Independent turns batch axes into event axes."
        )
    inside = {id(m) for b in reached_bijectors(flow) for m in (b, *b.submodules)}
    for module in flow.submodules:
        if not isinstance(module, FusedBijector) or id(module) in inside:
            continue
        layers = [i for top in keras_layers(module) for i in top._flatten_layers()]
        has_norms = any(isinstance(layer, BatchMoments) for layer in layers)
        if module.condition_size is not None or has_norms:
            raise ValueError(
                "flow: expected flows without condition and with batch_norm=None "
                f"inside {flow.name!r}, which passes on neither `condition` nor "
                f"`training`; got {module.name!r}."
            )
