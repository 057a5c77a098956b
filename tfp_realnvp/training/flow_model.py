"""Maximum likelihood with Keras `fit`."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import PixelLogit
from tfp_realnvp.bijectors.nested_kwargs import nested_kwargs
from tfp_realnvp.training.checks import check_examples, checked_pixels
from tfp_realnvp.training.units import bits_per_dim

tfd = tfp.distributions


class FlowModel(keras.Model):
    """Trains a flow by maximum likelihood.

    ```none
    loss = mean(-log_prob(x)) + penalties of the layers
    ```

    If the flow is over pixels (it contains a `PixelLogit`), `x` are images with
    values in [0, 256). To integer images the model adds uniform noise in [0, 1)
    itself (Section 4.1), other noise at every step of training and the same at every
    evaluation; loss and the metric `bits_per_dim` are in bits per dimension.
    Otherwise `x` are events of the flow and loss and the metric `nll` are in nats.

    `fit`, `evaluate` and `predict` take arrays or `tf.data.Dataset`s of batches;
    `predict` returns `log_prob` in nats. Layers normalize by batch statistics in
    `fit` and by their moving averages everywhere else.

    Args:
      flow: `tfd.TransformedDistribution`, for instance from `image_flow`.
      seed: Python `int` or `None`, seeds the noise added to integer images.
      name: Python `str`.

    Raises:
      TypeError: If `flow` is no `tfd.TransformedDistribution`.

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
        flow: tfd.TransformedDistribution,
        *,
        seed: int | None = None,
        name: str = "flow_model",
    ):
        # `tfd.TransformedDistribution(...)` is not always an instance of that class.
        if not (isinstance(flow, tfd.Distribution) and hasattr(flow, "bijector")):
            raise TypeError(
                "flow: expected a tfd.TransformedDistribution, got "
                f"{type(flow).__name__}."
            )
        super().__init__(name=name, dtype=tf.as_dtype(flow.dtype).name)
        self.flow = flow
        # Keras does not see into distributions, so the model holds their layers.
        self._flow_layers = _keras_layers(flow)
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

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains, as `keras.Model.fit`. Bad `x` raises before any training."""
        _refuse(kwargs, ("sample_weight", "class_weight"))
        check_examples(x, "x", self.flow.event_shape, pixels=self.is_over_pixels)
        if isinstance(x, tf.data.Dataset):
            # Keras's default, True, warns that a data set shuffles itself.
            kwargs.setdefault("shuffle", False)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluates, as `keras.Model.evaluate`, with the same noise every time."""
        _refuse(kwargs, ("sample_weight",))
        check_examples(x, "x", self.flow.event_shape, pixels=self.is_over_pixels)
        self._rewind_evaluation_noise()
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns `log_prob` in nats, with the same noise every time."""
        check_examples(x, "x", self.flow.event_shape, pixels=self.is_over_pixels)
        self._rewind_evaluation_noise()
        return super().predict(x, *args, **kwargs)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns `log_prob(x)` in nats, of shape [batch]."""
        if self.is_over_pixels:
            x = checked_pixels(x, "x")
        if self.is_over_pixels and not x.dtype.is_floating:
            noise = self._training_noise if training else self._evaluation_noise
            x = tf.cast(x, self.flow.dtype)
            x += keras.random.uniform(tf.shape(x), dtype=x.dtype, seed=noise)
        kwargs = nested_kwargs(self.flow.bijector, training=training)
        return self.flow.log_prob(x, bijector_kwargs=kwargs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Returns the loss of a batch, of which `y_pred` is the `log_prob`."""
        _refuse({"y": y, "sample_weight": sample_weight}, ("y", "sample_weight"))
        nll = -y_pred
        if self.is_over_pixels:
            nll = bits_per_dim(y_pred, self.flow.event_shape)
        self._likelihood.update_state(nll)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return (tf.reduce_mean(nll) + sum(self.losses)) / replicas

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


def _keras_layers(module: tf.Module) -> list[keras.layers.Layer]:
    """Returns the Keras layers held anywhere in `module`, each once."""
    found = module._flatten(
        predicate=lambda value: isinstance(value, keras.layers.Layer)
    )
    return list({id(layer): layer for layer in found}.values())
