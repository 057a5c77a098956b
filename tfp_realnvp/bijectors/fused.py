"""The base of all bijectors here: one pass gives both value and log-determinant."""

from __future__ import annotations

import abc
import functools
import inspect
from collections.abc import Hashable, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_realnvp.bijectors.cache import PassCache
from tfp_realnvp.bijectors.inputs import (
    broadcast_batch,
    check_floating,
    checked_event_shape,
    encode_condition,
)
from tfp_realnvp.bijectors.moment import Weights, tell_which_are_trainable
from tfp_realnvp.bijectors.recompute import recomputed
from tfp_realnvp.nets.parts import freeze_parts, frozen_parts, structure


class FusedBijector(tfb.Bijector):
    """A bijector defined by value and log-determinant in a single pass.

    Subclasses implement `_value_and_log_det`, which returns the transformed value and
    the log-determinant of that very transform, summed over `event_ndims` axes. The four
    public methods of `tfb.Bijector` derive from it so that the pass runs once for
    `log_prob(x)`, for `sample()`, and for `experimental_sample_and_log_prob()`;
    `PassCache` says when it runs again.

    Inputs of any leading shape reach the subclass with exactly one batch axis.

    Keyword arguments of the public methods are passed on to the pass. Its signature
    names those it takes besides `training`, `condition` and `recompute` (Python `bool`,
    whether members compute activations again for the gradient); others are refused.
    All bijectors here accept `training` (Python `bool`, `False` by default) and ignore
    it where it has no meaning, so one `bijector_kwargs={"training": True}` serves a
    whole flow.

    Conditional bijectors, those with a `condition_size`, take `condition` as well:
    integer labels of shape [...], or floating or boolean vectors of shape
    [..., condition_size]. Its leading dimensions broadcast against those of the
    events. The pass gets it as vectors, [N, condition_size].

    Args:
      event_ndims: Python `int`, rank of the events the bijector acts on.
      event_shape: Sequence of Python `int`s, the shape that events must have, or `None`
        if any will do.
      any_size: Python `bool`, whether only the last dimension must agree.
      condition_size: Python `int`, number of classes or length of the vectors to
        condition on, or `None` for a bijector that takes no condition.
      layers: Keras layers whose weights are the bijector's; they must be built.
      parameters: `dict` of constructor arguments, as for `tfb.Bijector`.
      **kwargs: Passed to `tfb.Bijector`.
    """

    _event_shape: Any = None

    def __init__(
        self,
        *,
        event_ndims: int,
        parameters: dict[str, Any],
        event_shape: Sequence[int] | None = None,
        any_size: bool = False,
        condition_size: int | None = None,
        layers: tuple[keras.layers.Layer, ...] = (),
        **kwargs: Any,
    ):
        super().__init__(
            forward_min_event_ndims=event_ndims, parameters=parameters, **kwargs
        )
        # TFP looks for `tf.Variable`s and does not see into Keras 3 layers.
        if event_shape is not None:
            self._event_shape = tuple(event_shape)
            self._any_size = any_size
        self._layers = layers
        self._condition_size = condition_size
        self._hash: int | None = None
        weights = [weight for layer in layers for weight in layer.weights]
        self._layer_variables = [weight.value for weight in weights]
        self._tell = functools.partial(tell_which_are_trainable, weights)
        self._found_weights: Weights | None = None
        self._known_arguments: set[str] | None = None
        self._cache = PassCache(self._transform, self._all_weights)

    def __hash__(self) -> int:
        # TFP hashes all parameters at every cache look-up, which for a deep flow takes
        # longer than the pass itself; but parameters never change.
        if self._hash is None:
            self._hash = super().__hash__()
        return self._hash

    @property
    def event_ndims(self) -> int:
        """Rank of the events the bijector acts on."""
        return self.forward_min_event_ndims

    @property
    def condition_size(self) -> int | None:
        """Number of classes, or length of the vectors, of `condition`, if any."""
        return self._condition_size

    @property
    def trainable(self) -> bool:
        """Whether the Keras layers inside are trained; the setter sets all of them.

        As in Keras, frozen layers run in inference mode even in training, and a model
        sees the change only after the next `compile`.
        """
        return any(layer.trainable for layer in self._all_layers())

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._all_layers():
            layer.trainable = value

    @property
    def _TF_MODULE_IGNORED_PROPERTIES(self) -> frozenset[str]:
        # TFP reads trainable variables here; some may have been frozen since.
        self._tell()
        return tfb.Bijector._TF_MODULE_IGNORED_PROPERTIES

    def __reduce__(self) -> tuple[Any, ...]:
        # Layers among the arguments carry their weights, but not what is frozen.
        return rebuild, (type(self), self.parameters, frozen_parts(self._all_layers()))

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType | None) -> dict[str, Any]:
        return {}

    @abc.abstractmethod
    def _value_and_log_det(
        self, value: tf.Tensor, *, inverse: bool, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `y` and `log |det dy/dx|`, of shape [N], or if `inverse` the others.

        `value` has one batch axis.
        """

    def _checked_event_shape(self, shape: tf.TensorShape, name: str) -> tf.TensorShape:
        """Returns the static shape of events, given a value's static shape."""
        if self._event_shape is not None:
            return checked_event_shape(
                shape, name, self._event_shape, any_size=self._any_size
            )
        if shape.rank is None:
            return tf.TensorShape([None] * self.event_ndims)
        if shape.rank < self.event_ndims:
            raise ValueError(
                f"{name}: expected events of rank {self.event_ndims}, got shape "
                f"{shape}."
            )
        return shape[shape.rank - self.event_ndims :]

    def _forward_event_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        try:
            return self._checked_shape(input_shape, "input_shape")
        except ValueError as error:
            # TFP calls this with the event shape of the base.
            raise ValueError(f"{error} {self._about_bases()}") from error

    def _inverse_event_shape(self, output_shape: tf.TensorShape) -> tf.TensorShape:
        return self._checked_shape(output_shape, "output_shape")

    def _checked_shape(self, shape: tf.TensorShape, name: str) -> tf.TensorShape:
        event_shape = self._checked_event_shape(shape, name)
        known = shape.rank is not None
        return shape[: shape.rank - self.event_ndims] + event_shape if known else shape

    def experimental_batch_shape(
        self, x_event_ndims: int | None = None, y_event_ndims: int | None = None
    ) -> tf.TensorShape:
        # TFP calls this with the rank of the base's events before each draw. A batch of
        # scalars would be mistaken for one event.
        ndims = x_event_ndims if y_event_ndims is None else y_event_ndims
        if ndims is not None and ndims < self.event_ndims:
            raise ValueError(
                f"{self.name}: expected events of rank {self.event_ndims}, got rank "
                f"{ndims}. {self._about_bases()}"
            )
        return super().experimental_batch_shape(x_event_ndims, y_event_ndims)

    def _about_bases(self) -> str:
        return (
            "A base distribution must have events of that shape, such as "
            "tfd.Independent(tfd.Normal(tf.zeros(event_shape), 1.0), "
            f"{self.event_ndims})."
        )

    def _transform(
        self, value: tf.Tensor, *, inverse: bool, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the result for values of any leading shape, and its log-det."""
        self._check_known(kwargs)
        name = "y" if inverse else "x"
        check_floating(name, value)
        event_shape = self._checked_event_shape(value.shape, name)
        ndims, size = self.event_ndims, self._condition_size
        condition = encode_condition(
            kwargs.pop("condition", None),
            size,
            value.dtype,
            validate_args=self.validate_args,
        )
        if condition is not None:
            value, condition = broadcast_batch(value, condition, ndims)
            kwargs["condition"] = tf.reshape(condition, [-1, size])
        if ndims == 0:
            return self._run(value, inverse=inverse, **kwargs)
        if value.shape.rank == ndims + 1:
            flat = _ensured(value, value.shape[:1].concatenate(event_shape))
            return self._run(flat, inverse=inverse, **kwargs)
        shape = tf.shape(value)
        flat = tf.reshape(value, tf.concat([[-1], shape[-ndims:]], axis=0))
        flat = _ensured(flat, tf.TensorShape([None, *event_shape]))
        out, log_det = self._run(flat, inverse=inverse, **kwargs)
        batch_shape, static_batch = shape[:-ndims], value.shape[:-ndims]
        out_shape = tf.concat([batch_shape, tf.shape(out)[1:]], axis=0)
        result, log_det = tf.reshape(out, out_shape), tf.reshape(log_det, batch_shape)
        result.set_shape(static_batch.concatenate(out.shape[1:]))
        log_det.set_shape(static_batch)
        return result, log_det

    def _run(
        self, value: tf.Tensor, *, inverse: bool, recompute: bool = False, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the result for values with one batch axis, and its log-det."""
        self._tell()
        kwargs["inverse"] = inverse
        if recompute and self._layers:
            run, alike = self._value_and_log_det, self._structure()
            return recomputed(run, self._layers, value, alike=alike, **kwargs)
        if recompute:
            kwargs["recompute"] = True
        return self._value_and_log_det(value, **kwargs)

    def _structure(self) -> Hashable:
        """Returns a key that is equal for bijectors that differ only in weights."""
        parts = {k: v for k, v in self.parameters.items() if k != "name"}
        return structure((type(self), parts))

    def _check_known(self, kwargs: dict[str, Any]) -> None:
        """Raises for unknown arguments, which would otherwise be ignored silently."""
        if self._known_arguments is None:
            self._known_arguments = {"training", "condition", "recompute"}
            for member in self._members():
                parameters = inspect.signature(member._value_and_log_det).parameters
                self._known_arguments.update(parameters)
        for name in kwargs:
            if name not in self._known_arguments:
                raise TypeError(
                    f"{name}: expected no argument of this name, for {self.name!r} "
                    "takes training and condition."
                )

    def _members(self) -> list[FusedBijector]:
        """Returns this bijector and all `FusedBijector`s inside it."""
        return [m for m in (self, *self.submodules) if isinstance(m, FusedBijector)]

    def _all_layers(self) -> list[keras.layers.Layer]:
        return [layer for member in self._members() for layer in member._layers]

    def _all_weights(self) -> Weights:
        """Returns all state that passes read, including that of bijectors inside."""
        if self._found_weights is None:
            bijectors = (self, *self.submodules)
            parameters = [
                tf.nest.flatten(list(b.parameters.values()), expand_composites=True)
                for b in bijectors
                if isinstance(b, tfb.Bijector) and b.parameters
            ]
            self._found_weights = Weights(
                [v for layer in self._all_layers() for v in layer.weights],
                self.variables,
                [p for found in parameters for p in found if isinstance(p, tf.Tensor)],
            )
        return self._found_weights


def _ensured(tensor: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    # Skipped if there is nothing to check: it has no forward mode in graphs.
    known = tensor.shape.rank is not None and (
        tensor.shape.merge_with(shape).as_list() == tensor.shape.as_list()
    )
    return tensor if known else tf.ensure_shape(tensor, shape)


def rebuild(kind: type, parameters: dict[str, Any], frozen: Sequence[int] = ()) -> Any:
    """Returns a new object, for `__reduce__` to name with what it is made of."""
    made = kind(**parameters)
    if frozen:
        freeze_parts(made._all_layers(), frozen)
    return made
