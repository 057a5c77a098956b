"""The convolutional residual network of an image coupling."""

from __future__ import annotations

from typing import Any, Literal, cast

import keras
import tensorflow as tf

from tfp_realnvp.arguments import check_choice, check_int
from tfp_realnvp.nets.batch_norm import BatchNormalization
from tfp_realnvp.nets.parts import ConfiguredLayer, check_condition, spawn_seeds
from tfp_realnvp.nets.weight_norm import WeightNormConv2D, short_direction

# Far more blocks than anybody trains; creating them would take forever.
_MOST_BLOCKS = 1000


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class ResidualBlock(ConfiguredLayer):
    """Pre-activation residual block of two 3x3 weight-normalized convolutions.

    ```none
    outputs = inputs + conv(relu(norm(conv(relu(norm(inputs))))))
    ```

    Args:
      filters: Python `int`, number of channels in and out.
      batch_norm: `"batch"`, `"moving"` (see `BatchMoments`) or `None` for no batch
        normalization.
      momentum: Python `float`, momentum of the moving averages.
      magnitude_regularizer: Keras regularizer of the closing convolution's magnitude.
      seed: Python `int` or `None`, seeds the initial weights.
      **kwargs: Passed to `keras.layers.Layer`.
    """

    def __init__(
        self,
        filters: int,
        *,
        batch_norm: Literal["batch", "moving"] | None = "batch",
        momentum: float = 0.9,
        magnitude_regularizer: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.input_spec = keras.layers.InputSpec(
            ndim=4, axes={-1: filters}, name="inputs"
        )
        self.filters = filters
        self.batch_norm = batch_norm
        self.momentum = momentum
        self.magnitude_regularizer = keras.regularizers.get(magnitude_regularizer)
        self.seed = seed
        seed_in, seed_out = spawn_seeds(seed, 2)
        self.norm_in = _norm(self, "norm_in")
        self.conv_in = _conv(self, filters, 3, "conv_in", seed_in)
        self.norm_out = _norm(self, "norm_out")
        self.conv_out = _conv(self, filters, 3, "conv_out", seed_out, ends_branch=True)

    def build(self, inputs_shape: tuple[int | None, ...]) -> None:
        for layer in (self.norm_in, self.conv_in, self.norm_out, self.conv_out):
            layer.build(inputs_shape)
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        hidden = tf.nn.relu(self.norm_in(inputs, training=training))
        if training or self.batch_norm is None:
            hidden = self.norm_out(self.conv_in(hidden), training=training)
        else:
            # In inference the normalization is part of the kernel.
            scale_and_offset = self.norm_out.scale_and_offset()
            hidden = self.conv_in.scaled_and_shifted(hidden, *scale_and_offset)
        return inputs + self.conv_out(tf.nn.relu(hidden))


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class ResNet(ConfiguredLayer):
    """Convolutional residual network with skip connections into the output.

    ```none
    h       = norm(inputs)
    h       = conv3x3([relu(h), relu(-h), context]) + project(condition)
    skip    = conv1x1(h)
    repeat num_blocks times:
      h     = ResidualBlock(h)
      skip += conv1x1(h)
    outputs = conv1x1(relu(norm(skip)))
    ```

    All convolutions are weight-normalized; only those that end a branch have a
    learned magnitude. The last one starts small, so that a new flow is near the
    identity, where float32 inverts it well; training is as fast as from 1, where the
    released code starts. Biases appear only where no normalization removes them.
    Without `crelu` the first convolution sees h itself, [h, context].

    Args:
      output_channels: Python `int`, channels of the output.
      filters: Python `int`, channels of the hidden layers ("feature maps").
      num_blocks: Python `int`, number of residual blocks.
      batch_norm: `"batch"`, `"moving"` (see `BatchMoments`) or `None` for no batch
        normalization.
      momentum: Python `float`, momentum of the moving averages.
      crelu: Python `bool`, whether the first convolution sees h as the two halves
        relu(h) and relu(-h), as in the paper.
      magnitude_regularizer: Keras regularizer of the learned magnitudes.
      condition_size: Python `int`, length of the condition vectors, or `None` if the
        network takes none. They are projected alike at every pixel.
      seed: Python `int` or `None`, seeds the initial weights.
      **kwargs: Passed to `keras.layers.Layer`.

    #### Example

    ```python
    >>> import tensorflow as tf
    >>> from tfp_realnvp.nets import ResNet
    >>> network = ResNet(output_channels=6, filters=8, num_blocks=2)
    >>> network(tf.zeros([2, 8, 8, 3])).shape
    TensorShape([2, 8, 8, 6])

    ```

    #### References

    [1]: Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio. Density estimation using
         Real NVP, Sections 3.7 and 4.1. https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        output_channels: int,
        *,
        filters: int,
        num_blocks: int,
        batch_norm: Literal["batch", "moving"] | None = "batch",
        momentum: float = 0.9,
        crelu: bool = True,
        magnitude_regularizer: Any = None,
        condition_size: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.input_spec = keras.layers.InputSpec(ndim=4, name="inputs")
        check_int("output_channels", output_channels)
        check_int("filters", filters)
        check_int("num_blocks", num_blocks, most=_MOST_BLOCKS)
        check_choice("batch_norm", batch_norm, ("batch", "moving", None))
        self.output_channels = output_channels
        self.filters = filters
        self.num_blocks = num_blocks
        self.batch_norm = batch_norm
        self.momentum = momentum
        self.crelu = crelu
        self.magnitude_regularizer = keras.regularizers.get(magnitude_regularizer)
        self.condition_size = condition_size
        self.seed = seed
        seeds = iter(spawn_seeds(seed, 4 + 2 * num_blocks))
        self.norm_in = _norm(self, "norm_in", affine=False)
        self.conv_in = _conv(self, filters, 3, "conv_in", next(seeds))
        self.skips = [
            _conv(self, filters, 1, f"skip_{i}", next(seeds), ends_branch=True)
            for i in range(num_blocks + 1)
        ]
        self.blocks = [
            ResidualBlock(
                filters,
                batch_norm=batch_norm,
                momentum=momentum,
                magnitude_regularizer=self.magnitude_regularizer,
                seed=next(seeds),
                dtype=self.dtype_policy,
                name=f"block_{i}",
            )
            for i in range(num_blocks)
        ]
        self.norm_out = _norm(self, "norm_out")
        self.conv_out = _conv(
            self,
            output_channels,
            1,
            "conv_out",
            next(seeds),
            ends_branch=True,
            initial_magnitude=0.1,
            use_bias=True,
        )
        self.project = None
        if condition_size is not None:
            self.project = keras.layers.Dense(
                filters,
                use_bias=False,
                kernel_initializer=keras.initializers.VarianceScaling(seed=next(seeds)),
                dtype=self.dtype_policy,
                name="project",
            )

    def build(
        self,
        inputs_shape: tuple[int | None, ...],
        context_shape: tuple[int | None, ...] | None = None,
        condition_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        self.input_spec = keras.layers.InputSpec(
            ndim=4, axes={-1: inputs_shape[-1]}, name="inputs"
        )
        hidden_shape = (*inputs_shape[:-1], self.filters)
        self.norm_in.build(inputs_shape)
        seen = cast(int, inputs_shape[-1]) * (2 if self.crelu else 1)
        seen += cast(int, context_shape[-1]) if context_shape else 0
        self.conv_in.build((*inputs_shape[:-1], seen))
        for layer in (*self.skips, *self.blocks, self.norm_out, self.conv_out):
            layer.build(hidden_shape)
        if self.project is not None:
            self.project.build((None, self.condition_size))
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        context: tf.Tensor | None = None,
        condition: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Returns the output maps, of shape [N, H, W, output_channels].

        `context`, of shape [N, H, W, K], are maps that inform the network but are
        neither normalized nor rectified: a coupling's mask.
        """
        check_condition(self, self.condition_size, condition)
        hidden = self.norm_in(inputs, training=training)
        hidden = self.conv_in(features(hidden, context, self.crelu))
        if self.project is not None:
            hidden += self.project(condition)[:, tf.newaxis, tf.newaxis, :]
        # In inference the last normalization is part of the kernels of the sum's terms.
        folds = self.batch_norm is not None and not training
        scale, offset = self.norm_out.scale_and_offset() if folds else (None, None)
        outputs = self.skips[0].scaled_and_shifted(hidden, scale, offset)
        for block, skip in zip(self.blocks, self.skips[1:], strict=True):
            hidden = block(hidden, training=training)
            outputs += skip.scaled_and_shifted(hidden, scale)
        if not folds:
            outputs = self.norm_out(outputs, training=training)
        return self.conv_out(tf.nn.relu(outputs))

    def compute_output_shape(
        self,
        inputs_shape: tuple[int | None, ...],
        context_shape: tuple[int | None, ...] | None = None,
        condition_shape: tuple[int | None, ...] | None = None,
    ) -> tuple[int | None, ...]:
        return (*inputs_shape[:-1], self.output_channels)


def features(hidden: tf.Tensor, context: tf.Tensor | None, crelu: bool) -> tf.Tensor:
    """Returns [relu(h), relu(-h), context], or without `crelu` [h, context]."""
    parts = [tf.nn.relu(hidden), tf.nn.relu(-hidden)] if crelu else [hidden]
    if context is not None:
        parts.append(tf.cast(context, hidden.dtype))
    return tf.concat(parts, axis=-1)


def _norm(
    network: ResNet | ResidualBlock, name: str, affine: bool = True
) -> keras.layers.Layer:
    """Returns a normalization of a network, with its options."""
    options = {"dtype": network.dtype_policy, "name": name}
    if network.batch_norm is None:
        return keras.layers.Identity(**options)
    return BatchNormalization(
        network.batch_norm, momentum=network.momentum, affine=affine, **options
    )


def _conv(
    network: ResNet | ResidualBlock,
    filters: int,
    kernel_size: int,
    name: str,
    seed: int | None,
    *,
    ends_branch: bool = False,
    **options: Any,
) -> WeightNormConv2D:
    """Returns a convolution of a network, with its options."""
    return WeightNormConv2D(
        filters,
        kernel_size,
        learn_magnitude=ends_branch,
        magnitude_regularizer=network.magnitude_regularizer,
        direction_initializer=short_direction(seed),
        dtype=network.dtype_policy,
        name=name,
        **{"use_bias": network.batch_norm is None, **options},
    )
