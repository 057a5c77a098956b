"""The convolutional residual network of an image coupling."""

from __future__ import annotations

from typing import Any, Literal

import keras
import tensorflow as tf

from tfp_realnvp.arguments import check_flag, check_int
from tfp_realnvp.nets.checks import (
    check_network,
    check_norm,
    check_res_net_fits,
    checked_regularizer,
)
from tfp_realnvp.nets.parts import (
    check_condition,
    features,
    features_shape,
    spawn_seeds,
)
from tfp_realnvp.nets.residual_block import ResidualBlock, norm_factory
from tfp_realnvp.nets.weight_norm import WeightNormConv2D, short_direction


@keras.saving.register_keras_serializable(package="tfp_realnvp")
class ResNet(keras.layers.Layer):
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
        network takes none. Their projection is the same at every pixel.
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
        for argument, value in (
            ("output_channels", output_channels),
            ("filters", filters),
            ("num_blocks", num_blocks),
        ):
            check_int(argument, value)
        check_norm(batch_norm, momentum)
        check_flag("crelu", crelu)
        check_network(condition_size, seed, width=filters)
        check_res_net_fits(filters, num_blocks, output_channels)
        self.output_channels = output_channels
        self.filters = filters
        self.num_blocks = num_blocks
        self.batch_norm = batch_norm
        self.momentum = momentum
        self.crelu = crelu
        self.magnitude_regularizer = checked_regularizer(
            "magnitude_regularizer", magnitude_regularizer
        )
        self.condition_size = condition_size
        self.seed = seed
        seeds = iter(spawn_seeds(seed, 4 + 2 * num_blocks))
        make_norm = norm_factory(batch_norm, momentum, self.dtype_policy)

        def conv(
            filters: int, kernel_size: int, name: str, **kwargs: Any
        ) -> WeightNormConv2D:
            return WeightNormConv2D(
                filters,
                kernel_size,
                direction_initializer=short_direction(next(seeds)),
                dtype=self.dtype_policy,
                name=name,
                **{"use_bias": batch_norm is None, **kwargs},
            )

        branch_end = {"magnitude_regularizer": self.magnitude_regularizer}
        self.norm_in = make_norm("norm_in", affine=False)
        self.conv_in = conv(filters, 3, "conv_in", learn_magnitude=False)
        self.skips = [
            conv(filters, 1, f"skip_{i}", **branch_end) for i in range(num_blocks + 1)
        ]
        self.blocks = [
            ResidualBlock(
                filters,
                batch_norm=batch_norm,
                momentum=momentum,
                seed=next(seeds),
                dtype=self.dtype_policy,
                name=f"block_{i}",
                **branch_end,
            )
            for i in range(num_blocks)
        ]
        self.norm_out = make_norm("norm_out")
        self.conv_out = conv(
            output_channels,
            1,
            "conv_out",
            initial_magnitude=0.1,
            use_bias=True,
            **branch_end,
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
        self.conv_in.build(features_shape(inputs_shape, context_shape, self.crelu))
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

        Args:
          inputs: `Tensor` of shape [N, H, W, C].
          context: `Tensor` of shape [N, H, W, K], maps that inform the network but
            are neither normalized nor rectified: a coupling's mask.
          condition: `Tensor` of shape [N, condition_size].
          training: Python `bool`, whether to normalize as in training.
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

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_channels": self.output_channels,
            "filters": self.filters,
            "num_blocks": self.num_blocks,
            "batch_norm": self.batch_norm,
            "momentum": self.momentum,
            "crelu": self.crelu,
            "magnitude_regularizer": keras.regularizers.serialize(
                self.magnitude_regularizer
            ),
            "condition_size": self.condition_size,
            "seed": self.seed,
        }
