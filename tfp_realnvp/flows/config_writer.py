"""From distributions and bijectors to plain values."""

from __future__ import annotations

import base64
import dataclasses
import functools
import inspect
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
    is_part,
    registered_name,
)
from tfp_realnvp.flows.real_nvp import RealNVPBijector

# As in `np.dtype.kind`; bfloat16 is of the last.
_NUMBERS = "biufcV"


class Writer:
    """Writes one configuration."""

    def __init__(self) -> None:
        # Keeping the objects keeps their ids from being used again.
        self._seen: dict[int, tuple[int, Any]] = {}

    def write(self, value: Any, path: str) -> Any:
        """Returns `value` as plain values.

        Args:
          value: See `to_config`.
          path: Python `str`, the way to it in Python, for errors.

        Raises:
          TypeError: If it cannot be described by plain values.
        """
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, (list, tuple)):
            items = [self.write(v, f"{path}[{i}]") for i, v in enumerate(value)]
            return {"type": "list" if isinstance(value, list) else "tuple", "of": items}
        if isinstance(value, dict):
            entries = {k: self.write(v, f"{path}[{k!r}]") for k, v in value.items()}
            return {"type": "dict", "of": entries}
        if isinstance(value, tf.DType):
            return {"type": "dtype", "of": value.name}
        if isinstance(value, tf.TensorShape):
            return {"type": "shape", "of": value.as_list()}
        if id(value) in self._seen:
            return {"type": "again", "of": self._seen[id(value)][0]}
        config = self._write_object(value, path)
        config["id"] = self._number(value)
        return config

    def _number(self, value: Any) -> int:
        self._seen[id(value)] = (len(self._seen), value)
        return self._seen[id(value)][0]

    def _write_object(self, value: Any, path: str) -> dict[str, Any]:
        if isinstance(value, tfp.util.TransformedVariable):
            return {
                "type": "transformed_variable",
                "of": self.write(value.pretransformed_input, path),
                "bijector": self.write(value.bijector, f"{path}.bijector"),
            }
        if isinstance(value, tf.Variable):
            return {
                "type": "variable",
                "of": _array_config(value.numpy()),
                "trainable": value.trainable,
                "name": value.name.partition(":")[0],
            }
        is_array = isinstance(value, (np.ndarray, np.generic))
        if is_array and value.dtype.kind in _NUMBERS:
            return {"type": "array", "of": _array_config(np.asarray(value))}
        if tf.is_tensor(value) and hasattr(value, "numpy"):
            return {"type": "tensor", "of": _array_config(value.numpy())}
        if isinstance(value, keras.layers.Layer):
            return {"type": "layer", "of": keras.saving.serialize_keras_object(value)}
        if isinstance(value, (tfb.Bijector, tfd.Distribution)):
            return self._write_made(value, value.parameters, path)
        if is_part(value) and not isinstance(value, type):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            return self._write_made(value, fields, path)
        function, kwargs = value, {}
        if isinstance(value, functools.partial) and not value.args:
            function, kwargs = value.func, value.keywords
        registered = inspect.isfunction(function) and registered_name(function)
        ours = [name for name, known in FUNCTIONS.items() if function is known]
        if ours or registered:
            return {
                "type": "function" if ours else "registered",
                "of": ours[0] if ours else registered,
                "kwargs": {k: self.write(v, f"{path}({k})") for k, v in kwargs.items()},
            }
        if inspect.isfunction(value):
            name = value.__name__
            if getattr(keras.activations, name, None) is value:
                return {"type": "activation", "of": name}
        raise TypeError(
            f"{path}: expected something made of public classes of TFP, Keras and "
            "tfp_realnvp, which can be described by plain values, or registered by "
            "keras.saving.register_keras_serializable; got "
            f"{shortened(value)}. Save the weights alone (save_weights), and build the "
            "flow anew to load them."
        )

    def _write_made(
        self, value: Any, parameters: dict[str, Any], path: str
    ) -> dict[str, Any]:
        space, name = _public_name(type(value))
        if space is None:
            raise TypeError(
                f"{path}: expected a class that is public in TFP or tfp_realnvp, got "
                f"{type(value).__module__}.{type(value).__qualname__}. Save the "
                "weights alone (save_weights), and build the flow anew to load them."
            )
        signature = inspect.signature(SPACES[space][name].__init__).parameters
        given = {
            key: v
            for key, v in parameters.items()
            if not (key in signature and v is signature[key].default)
        }
        body = None
        if isinstance(value, RealNVPBijector) and id(value.body) not in self._seen:
            # Its parts say how to build it, far more shortly than it would itself.
            body = given.pop("body")
        of = {key: self.write(v, f"{path}.{key}") for key, v in given.items()}
        config: dict[str, Any] = {
            "type": "object",
            "space": space,
            "name": name,
            "of": of,
        }
        if body is not None:
            config["body_id"] = self._number(body)
        return config


def _public_name(cls: type) -> tuple[str | None, str]:
    """Returns where the class is public and under which name, if it is anywhere."""
    # `tfb.Chain(...)` of our bijectors is a `_Chain`, and so on.
    name = cls.__name__.removeprefix("_")
    for space, names in SPACES.items():
        public = names.get(name)
        if is_known(public) and issubclass(public, cls):
            return space, name
    return None, name


def _array_config(array: np.ndarray) -> dict[str, Any]:
    return {
        "dtype": tf.as_dtype(array.dtype).name,
        "shape": list(array.shape),
        "bytes": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(),
    }
