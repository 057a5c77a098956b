"""From plain values to distributions and bijectors."""

from __future__ import annotations

import base64
import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_realnvp.arguments import shortened
from tfp_realnvp.flows.config_names import (
    FUNCTIONS,
    SPACES,
    is_known,
)


class Refused(ValueError):
    """The configuration is none of ours."""


# Each is read by the method of that name.
_KINDS = frozenset(
    {
        "list",
        "tuple",
        "dict",
        "dtype",
        "shape",
        "again",
        "array",
        "tensor",
        "variable",
        "transformed_variable",
        "layer",
        "function",
        "registered",
        "activation",
        "object",
    }
)


class Reader:
    """Reads one configuration."""

    def __init__(self) -> None:
        self._seen: dict[int, Any] = {}

    def read(self, config: Any) -> Any:
        """Returns what the configuration describes.

        Raises:
          Refused: If it is none of `to_config`.
        """
        if not isinstance(config, dict):
            return config
        kind = config.get("type")
        if not isinstance(kind, str) or kind not in _KINDS or "of" not in config:
            raise Refused(
                "flow: expected a configuration of a flow, got one with the unknown "
                f"part {shortened(config)}."
            )
        read = getattr(self, f"_read_{kind}")
        value = read(config["of"], config)
        if "id" in config:
            self._seen[config["id"]] = value
        return value

    def _read_list(self, of: Any, config: dict[str, Any]) -> list[Any]:
        return [self.read(item) for item in of]

    def _read_tuple(self, of: Any, config: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(self.read(item) for item in of)

    def _read_dict(self, of: Any, config: dict[str, Any]) -> dict[str, Any]:
        return {name: self.read(item) for name, item in of.items()}

    def _read_dtype(self, of: Any, config: dict[str, Any]) -> tf.DType:
        return tf.as_dtype(of)

    def _read_shape(self, of: Any, config: dict[str, Any]) -> tf.TensorShape:
        return tf.TensorShape(of)

    def _read_again(self, of: Any, config: dict[str, Any]) -> Any:
        return self._seen[of]

    def _read_array(self, of: Any, config: dict[str, Any]) -> np.ndarray:
        return _array(of)

    def _read_tensor(self, of: Any, config: dict[str, Any]) -> tf.Tensor:
        return tf.constant(_array(of))

    def _read_variable(self, of: Any, config: dict[str, Any]) -> tf.Variable:
        return tf.Variable(
            _array(of), trainable=config["trainable"], name=config["name"]
        )

    def _read_transformed_variable(
        self, of: Any, config: dict[str, Any]
    ) -> tfp.util.TransformedVariable:
        bijector, variable = self.read(config["bijector"]), self.read(of)
        made = tfp.util.TransformedVariable(
            bijector.forward(variable),
            bijector,
            trainable=variable.trainable,
            name=variable.name.partition(":")[0],
        )
        made.pretransformed_input.assign(variable)
        # The one who is named `again` elsewhere is the one in use.
        self._seen[of["id"]] = made.pretransformed_input
        return made

    def _read_layer(self, of: Any, config: dict[str, Any]) -> keras.layers.Layer:
        # What Keras would run from a file it refuses itself, unless the user has
        # called `keras.config.enable_unsafe_deserialization`.
        layer = keras.saving.deserialize_keras_object(of)
        if not isinstance(layer, keras.layers.Layer):
            raise Refused(f"flow: expected a Keras layer, got {shortened(layer)}.")
        return layer

    def _read_function(self, of: Any, config: dict[str, Any]) -> Callable[..., Any]:
        return self._partial(FUNCTIONS[of], config)

    def _read_registered(self, of: Any, config: dict[str, Any]) -> Callable[..., Any]:
        function = keras.saving.get_registered_object(of)
        if not inspect.isfunction(function):
            raise Refused(
                "flow: expected a function that is registered by keras.saving."
                f"register_keras_serializable, got {shortened(of)}."
            )
        return self._partial(function, config)

    def _partial(self, function: Callable[..., Any], config: dict[str, Any]) -> Any:
        kwargs = {name: self.read(item) for name, item in config["kwargs"].items()}
        return functools.partial(function, **kwargs) if kwargs else function

    def _read_activation(
        self, of: Any, config: dict[str, Any]
    ) -> Callable[[tf.Tensor], tf.Tensor]:
        if not isinstance(of, str):
            raise Refused(
                f"flow: expected the name of an activation, got {shortened(of)}."
            )
        return keras.activations.get(of)

    def _read_object(
        self, of: Any, config: dict[str, Any]
    ) -> tfb.Bijector | tfd.Distribution:
        space, name = config.get("space"), config.get("name")
        made_by = None
        if isinstance(space, str) and isinstance(name, str):
            made_by = SPACES.get(space, {}).get(name)
        if not is_known(made_by):
            raise Refused(
                "flow: expected the name of a bijector or distribution, got "
                f"{shortened(space)}, {shortened(name)}."
            )
        made = made_by(**{name: self.read(item) for name, item in of.items()})
        if "body_id" in config:
            self._seen[config["body_id"]] = made.body
        return made


def _array(config: dict[str, Any]) -> np.ndarray:
    dtype = tf.as_dtype(config["dtype"]).as_numpy_dtype
    values = np.frombuffer(base64.b64decode(config["bytes"]), dtype)
    return values.reshape(config["shape"])
