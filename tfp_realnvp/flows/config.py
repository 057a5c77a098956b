"""Distributions and bijectors as plain values, and back.

`FlowModel.get_config` contains them. Reading them only calls constructors of TFP, Keras
and this package, by their public names.
"""

from __future__ import annotations

import base64
import dataclasses
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

from tfp_realnvp import bijectors
from tfp_realnvp.arguments import shortened
from tfp_realnvp.bijectors import FusedBijector
from tfp_realnvp.flows.architectures import CouplingStack, MultiScale
from tfp_realnvp.flows.couplings import MLPConditioner, ResNetConditioner
from tfp_realnvp.flows.image_flow import ImageFlow
from tfp_realnvp.flows.real_nvp import RealNVPBijector
from tfp_realnvp.nets.parts import freeze_parts, frozen_parts

# Names that a configuration may contain.
_OF_FLOWS = (
    CouplingStack,
    ImageFlow,
    MLPConditioner,
    MultiScale,
    RealNVPBijector,
    ResNetConditioner,
)
_OURS = {
    **{name: getattr(bijectors, name) for name in bijectors.__all__},
    **{kind.__name__: kind for kind in _OF_FLOWS},
}
_SPACES = {"tfp_realnvp": _OURS, "tfb": vars(tfb), "tfd": vars(tfd)}
# As in `np.dtype.kind`; bfloat16 is of the last.
_NUMBERS = "biufcV"


def to_config(value: Any) -> Any:
    """Returns a distribution or bijector as numbers, strings, lists and dicts.

    Values of variables are included, weights of layers are not. Objects that occur
    twice stay shared.

    Raises:
      TypeError: If a class or function in it is neither public nor registered.
    """
    return _Writer().write(value, "flow")


def from_config(config: Any) -> Any:
    """Restores the argument of `to_config`, with new weights in Keras layers.

    Raises:
      ValueError: If `config` is not one that `to_config` returns.
    """
    try:
        return _Reader().read(config)
    except Exception as error:
        # Constructors can raise any error for arguments they do not expect.
        raise ValueError(
            "flow: expected a configuration of a flow, got one that nothing can be "
            f"made of: {type(error).__name__}: {shortened(str(error))}"
        ) from error


class _Writer:
    """Writes one configuration; paths are Python expressions, for errors."""

    def __init__(self) -> None:
        # References to the objects keep their ids from being reused.
        self._seen: dict[int, tuple[int, Any]] = {}

    def write(self, value: Any, path: str) -> Any:
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
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._write_made(value, vars(value), path)
        function, kwargs = value, {}
        if isinstance(value, functools.partial) and not value.args:
            function, kwargs = value.func, value.keywords
        kind, name = _known_function(function)
        if kind is None:
            raise _cannot_be_described(path, shortened(value))
        kwargs = {key: self.write(v, f"{path}({key})") for key, v in kwargs.items()}
        return {"type": kind, "of": name, "kwargs": kwargs}

    def _write_made(
        self, value: Any, parameters: dict[str, Any], path: str
    ) -> dict[str, Any]:
        # `tfb.Chain(...)` of our bijectors is a `_Chain`, and so on.
        name = type(value).__name__.removeprefix("_")
        spaces = [
            space
            for space, names in _SPACES.items()
            if _is_known(names.get(name)) and issubclass(names[name], type(value))
        ]
        if not spaces:
            got = f"{type(value).__module__}.{type(value).__qualname__}"
            raise _cannot_be_described(path, got)
        signature = inspect.signature(_SPACES[spaces[0]][name].__init__).parameters
        given = {
            key: v
            for key, v in parameters.items()
            if not (key in signature and v is signature[key].default)
        }
        body = None
        if isinstance(value, RealNVPBijector) and id(value.body) not in self._seen:
            # Its parts describe it much more briefly than its own configuration.
            body = given.pop("body")
        of = {key: self.write(v, f"{path}.{key}") for key, v in given.items()}
        config: dict[str, Any] = {"type": "object", "of": of}
        config |= {"space": spaces[0], "name": name}
        if isinstance(value, FusedBijector):
            config["frozen"] = frozen_parts(value._all_layers())
        return config if body is None else {**config, "body_id": self._number(body)}


class _Reader:
    """Reads one configuration."""

    def __init__(self) -> None:
        self._seen: dict[int, Any] = {}

    def read(self, config: Any) -> Any:
        if not isinstance(config, dict):
            return config
        value = self._read_described(config)
        if "id" in config:
            self._seen[config["id"]] = value
        return value

    def _read_described(self, config: dict[str, Any]) -> Any:
        match config:
            case {"type": "list", "of": list(items)}:
                return [self.read(item) for item in items]
            case {"type": "tuple", "of": list(items)}:
                return tuple(self.read(item) for item in items)
            case {"type": "dict", "of": dict(entries)}:
                return self._read_entries(entries)
            case {"type": "dtype", "of": of}:
                return tf.as_dtype(of)
            case {"type": "shape", "of": of}:
                return tf.TensorShape(of)
            case {"type": "again", "of": of}:
                return self._seen[of]
            case {"type": "array", "of": of}:
                return _array(of)
            case {"type": "tensor", "of": of}:
                return tf.constant(_array(of))
            case {"type": "variable", "of": of, "trainable": trainable, "name": name}:
                return tf.Variable(_array(of), trainable=trainable, name=name)
            case {"type": "transformed_variable", "of": of, "bijector": bijector}:
                return self._read_transformed_variable(of, self.read(bijector))
            case {"type": "layer", "of": of}:
                # Keras itself refuses code from files, unless the user has called
                # `keras.config.enable_unsafe_deserialization`.
                layer = keras.saving.deserialize_keras_object(of)
                if isinstance(layer, keras.layers.Layer):
                    return layer
            case {"type": str(kind), "of": str(name)} if kind in _FUNCTIONS:
                function = _FUNCTIONS[kind](name)
                if inspect.isfunction(function):
                    kwargs = self._read_entries(config.get("kwargs", {}))
                    return functools.partial(function, **kwargs) if kwargs else function
            case {"type": "object", "space": space, "name": name, "of": of}:
                made_by = _SPACES[space].get(name)
                if _is_known(made_by):
                    made = made_by(**self._read_entries(of))
                    if config.get("frozen"):
                        freeze_parts(made._all_layers(), config["frozen"])
                    if "body_id" in config:
                        self._seen[config["body_id"]] = made.body
                    return made
        raise ValueError(f"unknown part {config}")

    def _read_entries(self, entries: dict[str, Any]) -> dict[str, Any]:
        return {name: self.read(item) for name, item in entries.items()}

    def _read_transformed_variable(
        self, of: dict[str, Any], bijector: tfb.Bijector
    ) -> tfp.util.TransformedVariable:
        variable = self.read(of)
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


# For each kind of function, how to find one by name.
_FUNCTIONS: dict[str, Callable[[str], Any]] = {
    "function": _OURS.get,
    "registered": keras.saving.get_registered_object,
    "activation": keras.activations.get,
}


def _known_function(function: Any) -> tuple[str | None, str]:
    """Returns the kind and name under which a function can be found, if any."""
    if not inspect.isfunction(function):
        return None, ""
    name = function.__name__
    if _OURS.get(name) is function:
        return "function", name
    registered = keras.saving.get_registered_name(function)
    if keras.saving.get_registered_object(registered) is function:
        return "registered", registered
    is_activation = getattr(keras.activations, name, None) is function
    return ("activation" if is_activation else None), name


def _is_known(value: Any) -> bool:
    """Whether this is a class of bijectors or distributions, or of what ours are of."""
    if not isinstance(value, type):
        return False
    is_part = dataclasses.is_dataclass(value) and value in _OURS.values()
    return is_part or issubclass(value, (tfb.Bijector, tfd.Distribution))


def _cannot_be_described(path: str, got: str) -> TypeError:
    return TypeError(
        f"{path}: expected what public classes of TFP, Keras and tfp_realnvp make, or "
        f"keras.saving.register_keras_serializable has registered, got {got}. Save the "
        "weights alone (save_weights), and build the flow anew to load them."
    )


def _array(config: dict[str, Any]) -> np.ndarray:
    dtype = tf.as_dtype(config["dtype"]).as_numpy_dtype
    values = np.frombuffer(base64.b64decode(config["bytes"]), dtype)
    return values.reshape(config["shape"])


def _array_config(array: np.ndarray) -> dict[str, Any]:
    return {
        "dtype": tf.as_dtype(array.dtype).name,
        "shape": list(array.shape),
        "bytes": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(),
    }
