"""Distributions and bijectors as plain values, and back.

What `FlowModel.get_config` holds. Reading it back calls constructors of TFP, Keras and
this package by their public names, and nothing else.
"""

from __future__ import annotations

import base64
import functools
import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp import bijectors
from tfp_realnvp.arguments import shortened
from tfp_realnvp.flows.real_nvp import RealNVPBijector

tfb = tfp.bijectors
tfd = tfp.distributions

_OURS = {
    **{name: getattr(bijectors, name) for name in bijectors.__all__},
    "RealNVPBijector": RealNVPBijector,
}
_SPACES = {"tfp_realnvp": _OURS, "tfb": vars(tfb), "tfd": vars(tfd)}
_MASKS = {name: value for name, value in _OURS.items() if name.endswith("_mask")}


def to_config(value: Any) -> Any:
    """Returns `value` as numbers, strings, lists and dicts.

    Args:
      value: A `tfd.Distribution` or `tfb.Bijector` whose class is public in TFP or in
        this package, with parameters of the same kind: tensors, variables,
        `tfp.util.TransformedVariable`s, Keras layers, masks. The weights of Keras
        layers are not included, values of variables are. What occurs twice is shared.

    Raises:
      TypeError: If there is something else in it.
    """
    return _Writer().write(value, "flow")


def from_config(config: Any) -> Any:
    """Returns what `to_config` was given, Keras layers with new weights.

    Raises:
      ValueError: If `config` is none of `to_config`.
    """
    try:
        return _Reader().read(config)
    except _Refused:
        raise
    except Exception as error:
        # Whatever constructors raise when they are given what they do not expect.
        raise ValueError(
            "flow: expected a configuration of a flow, got one that nothing can be "
            f"made of: {type(error).__name__}: {shortened(str(error))}"
        ) from error


class _Refused(ValueError):
    """The configuration is none of ours."""


# As in `np.dtype.kind`; bfloat16 is of the last.
_NUMBERS = "biufcV"


class _Writer:
    def __init__(self):
        # Keeping the objects keeps their ids from being used again.
        self._seen: dict[int, tuple[int, Any]] = {}

    def write(self, value: Any, path: str) -> Any:
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, (list, tuple)):
            items = [self.write(v, f"{path}[{i}]") for i, v in enumerate(value)]
            return {"type": "list" if isinstance(value, list) else "tuple", "of": items}
        if isinstance(value, dict):
            items = {k: self.write(v, f"{path}[{k!r}]") for k, v in value.items()}
            return {"type": "dict", "of": items}
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
            return self._write_tfp(value, path)
        function, kwargs = value, {}
        if isinstance(value, functools.partial) and not value.args:
            function, kwargs = value.func, value.keywords
        for name, mask in _MASKS.items():
            if function is mask:
                return {"type": "mask", "of": name, "kwargs": dict(kwargs)}
        if inspect.isfunction(value):
            name = value.__name__
            if getattr(keras.activations, name, None) is value:
                return {"type": "activation", "of": name}
        raise TypeError(
            f"{path}: expected something made of public classes of TFP, Keras and "
            "tfp_realnvp, which can be described by plain values; got "
            f"{shortened(value)}. Save the weights alone (save_weights), and build the "
            "flow anew to load them."
        )

    def _write_tfp(self, value: Any, path: str) -> dict[str, Any]:
        space, name = _public_name(type(value))
        if space is None:
            raise TypeError(
                f"{path}: expected a class that is public in TFP or tfp_realnvp, got "
                f"{type(value).__module__}.{type(value).__qualname__}. Save the "
                "weights alone (save_weights), and build the flow anew to load them."
            )
        signature = inspect.signature(_SPACES[space][name].__init__).parameters
        given = {
            key: v
            for key, v in value.parameters.items()
            if not (key in signature and v is signature[key].default)
        }
        body = None
        if isinstance(value, RealNVPBijector) and id(value.body) not in self._seen:
            # The sizes say how to build it, far more shortly than it would itself.
            body = given.pop("body")
        of = {key: self.write(v, f"{path}.{key}") for key, v in given.items()}
        config = {"type": "object", "space": space, "name": name, "of": of}
        if body is not None:
            config["body_id"] = self._number(body)
        return config


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
        "mask",
        "activation",
        "object",
    }
)


class _Reader:
    def __init__(self):
        self._seen: dict[int, Any] = {}

    def read(self, config: Any) -> Any:
        if not isinstance(config, dict):
            return config
        kind = config.get("type")
        if not isinstance(kind, str) or kind not in _KINDS or "of" not in config:
            raise _Refused(
                "flow: expected a configuration of a flow, got one with the unknown "
                f"part {shortened(config)}."
            )
        read = getattr(self, f"_read_{kind}")
        value = read(config["of"], config)
        if "id" in config:
            self._seen[config["id"]] = value
        return value

    def _read_list(self, of, config):
        return [self.read(item) for item in of]

    def _read_tuple(self, of, config):
        return tuple(self.read(item) for item in of)

    def _read_dict(self, of, config):
        return {name: self.read(item) for name, item in of.items()}

    def _read_dtype(self, of, config):
        return tf.as_dtype(of)

    def _read_shape(self, of, config):
        return tf.TensorShape(of)

    def _read_again(self, of, config):
        return self._seen[of]

    def _read_array(self, of, config):
        return _array(of)

    def _read_tensor(self, of, config):
        return tf.constant(_array(of))

    def _read_variable(self, of, config):
        return tf.Variable(
            _array(of), trainable=config["trainable"], name=config["name"]
        )

    def _read_transformed_variable(self, of, config):
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

    def _read_layer(self, of, config):
        # What Keras would run from a file it refuses itself, unless the user has
        # called `keras.config.enable_unsafe_deserialization`.
        layer = keras.saving.deserialize_keras_object(of)
        if not isinstance(layer, keras.layers.Layer):
            raise _Refused(f"flow: expected a Keras layer, got {shortened(layer)}.")
        return layer

    def _read_mask(self, of, config):
        mask, kwargs = _MASKS[of], config["kwargs"]
        return functools.partial(mask, **kwargs) if kwargs else mask

    def _read_activation(self, of, config):
        if not isinstance(of, str):
            raise _Refused(
                f"flow: expected the name of an activation, got {shortened(of)}."
            )
        return keras.activations.get(of)

    def _read_object(self, of, config):
        space, name = config.get("space"), config.get("name")
        is_named = isinstance(space, str) and isinstance(name, str)
        made_by = _SPACES.get(space, {}).get(name) if is_named else None
        if not _is_bijector_or_distribution(made_by):
            raise _Refused(
                "flow: expected the name of a bijector or distribution, got "
                f"{shortened(space)}, {shortened(name)}."
            )
        made = made_by(**{name: self.read(item) for name, item in of.items()})
        if "body_id" in config:
            self._seen[config["body_id"]] = made.body
        return made


def _public_name(cls: type) -> tuple[str | None, str]:
    """Returns where the class is public and under which name, if it is anywhere."""
    # `tfb.Chain(...)` of our bijectors is a `_Chain`, and so on.
    name = cls.__name__.removeprefix("_")
    for space, names in _SPACES.items():
        public = names.get(name)
        if _is_bijector_or_distribution(public) and issubclass(public, cls):
            return space, name
    return None, name


def _is_bijector_or_distribution(value: Any) -> bool:
    return isinstance(value, type) and issubclass(
        value, (tfb.Bijector, tfd.Distribution)
    )


def _array_config(array: np.ndarray) -> dict[str, Any]:
    return {
        "dtype": tf.as_dtype(array.dtype).name,
        "shape": list(array.shape),
        "bytes": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(),
    }


def _array(config: dict[str, Any]) -> np.ndarray:
    dtype = tf.as_dtype(config["dtype"]).as_numpy_dtype
    values = np.frombuffer(base64.b64decode(config["bytes"]), dtype)
    return values.reshape(config["shape"])
