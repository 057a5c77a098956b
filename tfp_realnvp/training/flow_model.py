"""Maximum likelihood with Keras `fit`."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import PixelLogit
from tfp_realnvp.files import atomic_path
from tfp_realnvp.flows.call_arguments import (
    condition_size_of_flow,
    distribution_kwargs,
)
from tfp_realnvp.flows.config import from_config, to_config
from tfp_realnvp.training.checks import check_data, checked_pixels
from tfp_realnvp.training.flow_weights import (
    check_reached,
    keras_layers,
    other_variables,
)
from tfp_realnvp.training.units import bits_per_dim

tfd = tfp.distributions


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class FlowModel(keras.Model):
    """Trains a flow, or any other distribution, by maximum likelihood.

    ```none
    loss = mean(-log_prob(x | condition)) + penalties of the layers
    ```

    If the flow is over pixels (it contains a `PixelLogit`), `x` are images with
    values in [0, 256). To integer images the model adds uniform noise in [0, 1)
    itself (Section 4.1), other noise at every step of training and the same at every
    evaluation; loss and the metric `bits_per_dim` are in bits per dimension.
    Otherwise `x` are events of the flow and loss and the metric `nll` are in nats.

    `fit`, `evaluate` and `predict` take arrays or `tf.data.Dataset`s of batches;
    `predict` returns `log_prob` in nats. Layers normalize by batch statistics in
    `fit` and by their moving averages everywhere else.

    For a conditional flow, `condition` holds labels, of an integer dtype and shape
    [N], or vectors, [N, condition_size], or the data set holds pairs (x, condition).

    What is trained are all trainable variables of the distribution, those of its
    base included. With `save("model.keras")` and `keras.saving.load_model` the
    distribution comes back, if it is made of public classes of TFP and this package.

    Args:
      flow: `tfd.Distribution` with a static event shape, for instance from
        `image_flow`, or a `tfd.TransformedDistribution`.
      seed: Python `int` or `None`, seeds the noise added to integer images.
      name: Python `str`.

    Raises:
      TypeError: If `flow` is no `tfd.Distribution`.
      ValueError: If it holds conditional or batch-normalized flows where it does not
        pass `condition` and `training` on, as in a mixture.

    #### Example

    ```python
    >>> import numpy as np
    >>> import tfp_realnvp as nvp
    >>> images = np.zeros([16, 8, 8, 1], np.uint8)
    >>> model = nvp.FlowModel(
    ...     nvp.image_flow(event_shape=(8, 8, 1), filters=8, num_blocks=1), seed=0
    ... )
    >>> model.compile()
    >>> history = model.fit(images, batch_size=8, verbose=0)
    >>> sorted(history.history)
    ['bits_per_dim', 'loss']

    ```
    """

    def __init__(
        self,
        flow: tfd.Distribution,
        *,
        seed: int | None = None,
        name: str = "flow_model",
    ):
        if not isinstance(flow, tfd.Distribution):
            raise TypeError(
                f"flow: expected a tfd.Distribution, got {type(flow).__name__}."
            )
        check_reached(flow)
        super().__init__(name=name, dtype=tf.as_dtype(flow.dtype).name)
        self.flow = flow
        self.seed = seed
        # Keras does not see into distributions, so the model holds what they hold.
        self._flow_layers = keras_layers(flow)
        self._flow_variables = other_variables(flow)
        self.condition_size = condition_size_of_flow(flow)
        self.is_over_pixels = any(isinstance(m, PixelLogit) for m in flow.submodules)
        self._training_noise = keras.random.SeedGenerator(seed, name="training_noise")
        self._evaluation_seed = 0 if seed is None else seed
        self._evaluation_noise = keras.random.SeedGenerator(
            self._evaluation_seed, name="evaluation_noise"
        )
        self._likelihood = keras.metrics.Mean(
            "bits_per_dim" if self.is_over_pixels else "nll"
        )
        self.built = True

    def compile(
        self, optimizer: Any = None, *, jit_compile: bool = False, **kwargs: Any
    ) -> None:
        """Configures training, as `keras.Model.compile`, with other defaults.

        Args:
          optimizer: Keras optimizer; `None` is the paper's Adam with default
            hyperparameters, with gradients clipped to a global norm of 100.
          jit_compile: Python `bool`, whether XLA compiles the steps. `False` unless
            said: on CPUs XLA's convolutions are slower than TensorFlow's own.
          **kwargs: Passed to `keras.Model.compile`.

        Raises:
          ValueError: If a loss or metrics are given; the model has its own.
        """
        _refuse(kwargs, ("loss", "loss_weights", "metrics", "weighted_metrics"))
        optimizer = optimizer or keras.optimizers.Adam(global_clipnorm=100.0)
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(
        self, x: Any = None, condition: Any = None, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """Trains, as `keras.Model.fit`. Bad data raise before any training."""
        # Keras's name for what comes with x; its own `fit` calls `evaluate` so.
        condition = kwargs.pop("y", None) if condition is None else condition
        self._check(x, condition, kwargs)
        validation = kwargs.get("validation_data")
        if validation is not None:
            self._check(*keras.utils.unpack_x_y_sample_weight(validation)[:2], {})
        if isinstance(x, tf.data.Dataset):
            # Keras's default, True, warns that a data set shuffles itself.
            kwargs.setdefault("shuffle", False)
        return super().fit(x, condition, *args, **kwargs)

    def evaluate(
        self, x: Any = None, condition: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Evaluates, as `keras.Model.evaluate`, with the same noise every time."""
        condition = kwargs.pop("y", None) if condition is None else condition
        self._check(x, condition, kwargs)
        self._rewind_evaluation_noise()
        return super().evaluate(x, condition, *args, **kwargs)

    def predict(
        self,
        x: Any,
        condition: Any = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """Returns `log_prob` in nats, with the same noise every time."""
        self._check(x, condition, kwargs)
        self._rewind_evaluation_noise()
        if condition is not None:
            pairs = tf.data.Dataset.from_tensor_slices((x, condition))
            x, batch_size = pairs.batch(batch_size or 32), None
        return super().predict(x, batch_size=batch_size, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        return super().train_step(self._inputs(data))

    def test_step(self, data: Any) -> dict[str, Any]:
        return super().test_step(self._inputs(data))

    def predict_step(self, data: Any) -> tf.Tensor:
        return super().predict_step(self._inputs(data))

    def _inputs(self, data: Any) -> tuple[Any]:
        """Returns Keras's (x, y) with y as a part of the input: the condition."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        _refuse({"sample_weight": sample_weight}, ("sample_weight",))
        return (x if y is None else {"x": x, "condition": y},)

    def call(self, x: Any, condition: Any = None, training: bool = False) -> tf.Tensor:
        """Returns `log_prob(x | condition)` in nats, of shape [batch].

        Instead of two arguments, `x` may be a `dict` with the keys x and condition.
        """
        if isinstance(x, dict):
            x, condition = x["x"], x["condition"]
        if condition is not None and self.condition_size is None:
            raise ValueError(
                "condition: expected None, for the flow was made without "
                "condition_size and is trained on x alone; got one."
            )
        if self.is_over_pixels:
            x = checked_pixels(x, "x")
        if self.is_over_pixels and not x.dtype.is_floating:
            noise = self._training_noise if training else self._evaluation_noise
            x = tf.cast(x, self.flow.dtype)
            x += keras.random.uniform(tf.shape(x), dtype=x.dtype, seed=noise)
        arguments = {} if condition is None else {"condition": condition}
        kwargs = distribution_kwargs(self.flow, training=training, **arguments)
        return self.flow.log_prob(x, **kwargs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Returns the loss of a batch, of which `y_pred` is the `log_prob`."""
        nll = -y_pred
        if self.is_over_pixels:
            nll = bits_per_dim(y_pred, self.flow.event_shape)
        self._likelihood.update_state(nll)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return (tf.reduce_mean(nll) + sum(self.losses)) / replicas

    def save(
        self, filepath: str | os.PathLike, overwrite: bool = True, **kwargs: Any
    ) -> None:
        """Saves, as `keras.Model.save`; what is there stays until all is written.

        Raises:
          FileExistsError: If the file is there and `overwrite` is `False`.
        """
        if not overwrite and os.path.exists(filepath):
            raise FileExistsError(
                f"filepath: expected a new file with overwrite=False, got {filepath}."
            )
        with atomic_path(filepath) as temporary:
            super().save(temporary, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {"flow": to_config(self.flow), "seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FlowModel:
        return cls(**{**config, "flow": from_config(config["flow"])})

    def _check(self, x: Any, condition: Any, kwargs: dict[str, Any]) -> None:
        _refuse(kwargs, ("sample_weight", "class_weight"))
        check_data(
            x,
            condition,
            self.flow.event_shape,
            pixels=self.is_over_pixels,
            condition_size=self.condition_size,
        )

    def _rewind_evaluation_noise(self) -> None:
        start = keras.random.SeedGenerator(self._evaluation_seed)
        self._evaluation_noise.state.assign(start.state)


def _refuse(arguments: dict[str, Any], names: tuple[str, ...]) -> None:
    """Raises `ValueError` for arguments of Keras that mean nothing to a density."""
    for name in names:
        if arguments.get(name) is not None:
            raise ValueError(
                f"{name}: expected None, for a FlowModel is trained and measured by "
                f"the likelihood of x alone; got {arguments[name]!r}."
            )
