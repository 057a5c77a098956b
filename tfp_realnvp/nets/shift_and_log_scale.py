"""The head that turns a network's output into shift and log-scale."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.arguments import shortened
from tfp_realnvp.nets.parts import ConfiguredLayer, build


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class ShiftAndLogScale(ConfiguredLayer):
    """Splits a network's output in two and bounds the log-scale.

    ```none
    shift, raw = split(network(inputs))
    log_scale  = gain * tanh(raw)
    ```

    with one learned scalar `gain`. The shift is affine in the network's last hidden
    layer and unbounded.

    Args:
      network: Keras layer whose output has an even number of channels, the shift
        first.
      initial_gain: Python `float`, where the gain starts. The released code takes 0
        for checkerboard couplings and 1 for channel-wise ones.
      gain_regularizer: Keras regularizer of the gain.
      **kwargs: Passed to `keras.layers.Layer`.

    Raises:
      TypeError: If `network` is not a Keras layer.

    #### Example

    ```python
    >>> import tensorflow as tf
    >>> from tfp_realnvp.nets import ResNet, ShiftAndLogScale
    >>> head = ShiftAndLogScale(ResNet(output_channels=6, filters=8, num_blocks=1))
    >>> shift, log_scale = head(tf.zeros([2, 8, 8, 3]))
    >>> shift.shape, log_scale.shape
    (TensorShape([2, 8, 8, 3]), TensorShape([2, 8, 8, 3]))

    ```
    """

    def __init__(
        self,
        network: keras.layers.Layer,
        *,
        initial_gain: float = 0.0,
        gain_regularizer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not isinstance(network, keras.layers.Layer):
            raise TypeError(
                f"network: expected a Keras layer, got {shortened(network)}."
            )
        self.network = network
        self.initial_gain = float(initial_gain)
        self.gain_regularizer = keras.regularizers.get(gain_regularizer)

    def build(
        self,
        inputs_shape: tuple[int | None, ...],
        context_shape: tuple[int | None, ...] | None = None,
        condition_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        shapes = {"context": context_shape, "condition": condition_shape}
        build(self.network, inputs_shape, _given(shapes))
        self.gain = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.initial_gain),
            regularizer=self.gain_regularizer,
            autocast=False,
            name="gain",
        )
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        context: tf.Tensor | None = None,
        condition: tf.Tensor | None = None,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns shift and log_scale, each with half the network's channels.

        `context` and `condition` reach the network if they are given.
        """
        kwargs = _given({"context": context, "condition": condition})
        outputs = self.network(inputs, training=training, **kwargs)
        shift, raw = tf.split(tf.cast(outputs, self.variable_dtype), 2, axis=-1)
        return shift, tf.convert_to_tensor(self.gain) * tf.tanh(raw)

    def compute_output_shape(
        self,
        inputs_shape: tuple[int | None, ...],
        context_shape: tuple[int | None, ...] | None = None,
        condition_shape: tuple[int | None, ...] | None = None,
    ) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
        shape = self.network.compute_output_shape(inputs_shape)
        half = (*shape[:-1], shape[-1] // 2)
        return half, half

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ShiftAndLogScale:
        network = keras.saving.deserialize_keras_object(config.pop("network"))
        return cls(network, **config)


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}
