"""The convolutions and normalizations of a flow's networks, with nothing around them.

What a flow of these networks cannot do without. The networks are read off the flow.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

import tfp_realnvp as nvp
from speed.contenders import Prepared, tf_threads
from speed.contenders.ours import count_parameters, couplings_of


def prepare(
    cell: dict[str, Any], dtype: str = "float32", complete: bool = False
) -> Prepared:
    """Prepares the floor.

    Args:
      cell: The cell.
      dtype: What convolutions and normalizations compute in.
      complete: Whether to add the networks' activations, residuals and skips.
    """
    flow = nvp.image_flow(**cell["sizes"], seed=0)
    networks = [
        Network(c.network.network, tuple(c.event_shape[:2]), dtype, complete)
        for c in couplings_of(flow)
    ]
    for network in networks:
        network.draw(cell["batch"])
    train = tf.function(lambda: _train(networks))
    log_prob, sample = (tf.function(lambda: _score(networks)) for _ in range(2))
    variables = [v for network in networks for v in network.variables]
    return Prepared(
        operations={
            "train": lambda: [g.numpy() for g in train()],
            "log_prob": lambda: [o.numpy() for o in log_prob()],
            "sample": lambda: [o.numpy() for o in sample()],
        },
        parameters=count_parameters(variables),
        threads=tf_threads(),
        networks=len(networks),
    )


@dataclasses.dataclass
class Norm:
    """Weights of a normalization."""

    scale: tf.Variable
    offset: tf.Variable
    channels: int


class Network:
    """What is left of a `ResNet`: plain kernels, normalizations, random inputs."""

    def __init__(self, resnet: nvp.ResNet, size, dtype: str, complete: bool):
        self.size, self.dtype, self.complete = size, tf.as_dtype(dtype), complete
        self.variables: list[tf.Variable] = []
        self.norm_in = self._norm(resnet.norm_in)
        self.conv_in = self._kernel(resnet.conv_in)
        self.skips = [self._kernel(skip) for skip in resnet.skips]
        self.blocks = [
            (
                self._norm(block.norm_in),
                self._kernel(block.conv_in),
                self._norm(block.norm_out),
                self._kernel(block.conv_out),
            )
            for block in resnet.blocks
        ]
        self.norm_out = self._norm(resnet.norm_out)
        self.conv_out = self._kernel(resnet.conv_out)

    def _kernel(self, layer) -> tf.Variable:
        shape = layer.direction.shape
        deviation = np.prod(shape[:3]) ** -0.5
        value = deviation * np.random.default_rng(0).normal(size=shape)
        self.variables.append(tf.Variable(value.astype(np.float32)))
        return self.variables[-1]

    def _norm(self, layer) -> Norm:
        (channels,) = layer.moments.moving_mean.shape
        if not layer.affine:
            return Norm(tf.ones([channels]), tf.zeros([channels]), channels)
        norm = Norm(
            tf.Variable(tf.ones([channels])),
            tf.Variable(tf.zeros([channels])),
            channels,
        )
        self.variables += [norm.scale, norm.offset]
        return norm

    def draw(self, batch: int) -> None:
        """Draws the input, what joins it, and the gradient of the output."""
        channels = self.norm_in.channels
        joined = self.conv_in.shape[2] - channels

        def normal(depth, seed):
            shape = [batch, *self.size, depth]
            return tf.cast(tf.random.stateless_normal(shape, [0, seed]), self.dtype)

        self.inputs, self.upstream = (
            normal(channels, 1),
            normal(self.conv_out.shape[3], 3),
        )
        if self.complete:
            joined -= channels
        self.others = normal(joined, 2)

    def run(self, inputs: tf.Tensor, training: bool):
        """Returns the outputs, and each skip's branch: what enters it, what leaves."""
        relu = tf.nn.relu if self.complete else lambda x: x
        hidden = self._normalize(inputs, self.norm_in, training)
        features = [relu(hidden), relu(-hidden)] if self.complete else [hidden]
        hidden = self._convolve(tf.concat([*features, self.others], -1), self.conv_in)
        branches, states = [], [hidden]
        for norm_in, conv_in, norm_out, conv_out in self.blocks:
            change = relu(self._normalize(hidden, norm_in, training))
            change = self._convolve(change, conv_in)
            change = relu(self._normalize(change, norm_out, training))
            change = self._convolve(change, conv_out)
            hidden = hidden + change if self.complete else change
            states.append(hidden)
        if self.complete:
            total = self._convolve(states[0], self.skips[0])
            for state, skip in zip(states[1:], self.skips[1:], strict=True):
                total += self._convolve(state, skip)
        else:
            # The true network adds the skips up, so that each gets a gradient and hands
            # one on. Apart from each other they do the same without the additions.
            for state, skip in zip(states[:-1], self.skips[:-1], strict=True):
                entering = tf.stop_gradient(state)
                branches.append((entering, skip))
            total = self._convolve(states[-1], self.skips[-1])
        last = relu(self._normalize(total, self.norm_out, training))
        return self._convolve(last, self.conv_out), total, branches

    def _convolve(self, inputs, kernel):
        kernel = tf.cast(tf.convert_to_tensor(kernel), self.dtype)
        return tf.nn.conv2d(inputs, kernel, strides=1, padding="SAME")

    def _normalize(self, inputs, norm: Norm, training: bool):
        moments = {}
        if not training:
            moments = {
                "mean": tf.zeros([norm.channels]),
                "variance": tf.ones([norm.channels]),
            }
        return tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.convert_to_tensor(norm.scale),
            tf.convert_to_tensor(norm.offset),
            is_training=training,
            **moments,
        )[0]


def _score(networks: list[Network]) -> list[tf.Tensor]:
    outputs, done = [], []
    for network in networks:
        with tf.control_dependencies(done):
            inputs = tf.identity(network.inputs)
        output, _, branches = network.run(inputs, training=False)
        skips = [network._convolve(state, skip) for state, skip in branches]
        done = [_one(value) for value in (output, *skips)]
        outputs += done
    return outputs


def _train(networks: list[Network]) -> list[tf.Tensor]:
    # As in a flow, one network after the other, then back in reverse: left to itself
    # TensorFlow would run independent networks at the same time.
    ran, done = [], []
    for network in networks:
        with tf.control_dependencies(done):
            inputs = tf.identity(network.inputs)
        with tf.GradientTape() as tape:
            # The first network's input is data, which needs no gradient.
            if ran:
                tape.watch(inputs)
            output, total, branches = network.run(inputs, training=True)
            for entering, _ in branches:
                tape.watch(entering)
            skips = [network._convolve(state, skip) for state, skip in branches]
        ran.append((network, tape, inputs, output, total, branches, skips))
        done = [output, *skips]
    gradients = []
    for network, tape, inputs, output, total, branches, skips in reversed(ran):
        with tf.control_dependencies(done):
            upstream = tf.identity(network.upstream)
            # Any tensor of that shape, and one that costs nothing to make.
            into_skips = tf.identity(tf.stop_gradient(total))
        inner = [entering for entering, _ in branches]
        if network is not networks[0]:
            inner.append(inputs)
        found = tape.gradient(
            [output, *skips],
            [network.variables, inner],
            output_gradients=[upstream, *([into_skips] * len(skips))],
        )
        # Of the inner gradients one value each: they are computed, and not copied out.
        done = [_one(gradient) for gradient in found[1]]
        gradients += [*found[0], *done]
    return gradients


def _one(value: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.reshape(value, [-1])[0], tf.float32)
