"""The convolutions and normalizations of a flow's networks, with nothing around them.

They are a lower bound on the time of any flow with these networks, which are taken from
the flow.
"""

import numpy as np
import tensorflow as tf

import tfp_realnvp as nvp
from speed.contenders import Prepared
from speed.contenders.ours import count_parameters, couplings_of


def prepare(cell, dtype="float32", complete=False):
    """Prepares the floor; `complete` adds activations, residuals and skips."""
    couplings = couplings_of(nvp.image_flow(**cell["sizes"], seed=0))
    networks = [Network(c, cell["batch"], dtype, complete) for c in couplings]

    def call(function):
        run = tf.function(lambda: function(networks))
        return lambda: [value.numpy() for value in run()]

    return Prepared(
        {"train": call(train), "log_prob": call(score), "sample": call(score)},
        parameters=count_parameters([v for n in networks for v in n.variables]),
        networks=len(networks),
    )


class Network:
    """A `ResNet` reduced to plain kernels, normalizations and random inputs."""

    def __init__(self, coupling, batch, dtype, complete):
        resnet = coupling.network.network
        self.dtype, self.complete = tf.as_dtype(dtype), complete
        self.variables = []
        self.norm_in = self._norm(resnet.norm_in)
        self.conv_in = self._kernel(resnet.conv_in)
        self.skips = [self._kernel(skip) for skip in resnet.skips]
        self.blocks = [
            (*self._pair(b.norm_in, b.conv_in), *self._pair(b.norm_out, b.conv_out))
            for b in resnet.blocks
        ]
        self.norm_out = self._norm(resnet.norm_out)
        self.conv_out = self._kernel(resnet.conv_out)

        def normal(channels, seed):
            shape = [batch, *coupling.event_shape[:2], channels]
            return tf.cast(tf.random.stateless_normal(shape, [0, seed]), self.dtype)

        channels = self.norm_in[0].shape[0]
        self.inputs = normal(channels, 1)
        # The context beside the input, and the gradient of the output.
        copies = 2 if complete else 1
        self.others = normal(self.conv_in.shape[2] - copies * channels, 2)
        self.upstream = normal(self.conv_out.shape[3], 3)

    def _pair(self, norm, convolution):
        return self._norm(norm), self._kernel(convolution)

    def _kernel(self, layer):
        shape = layer.direction.shape
        deviation = np.prod(shape[:3]) ** -0.5
        value = deviation * np.random.default_rng(0).normal(size=shape)
        self.variables.append(tf.Variable(value.astype(np.float32)))
        return self.variables[-1]

    def _norm(self, layer):
        """Returns scale and offset."""
        (channels,) = layer.moments.moving_mean.shape
        values = tf.ones([channels]), tf.zeros([channels])
        if not layer.affine:
            return values
        variables = tuple(map(tf.Variable, values))
        self.variables += variables
        return variables

    def run(self, inputs, training):
        """Returns the outputs, and the input and kernel of each skip's branch."""
        relu = tf.nn.relu if self.complete else tf.identity
        hidden = self._normalize(inputs, self.norm_in, training)
        features = [relu(hidden), relu(-hidden)] if self.complete else [hidden]
        hidden = self.convolve(tf.concat([*features, self.others], -1), self.conv_in)
        states = [hidden]
        for norm_in, conv_in, norm_out, conv_out in self.blocks:
            change = relu(self._normalize(hidden, norm_in, training))
            change = self.convolve(change, conv_in)
            change = relu(self._normalize(change, norm_out, training))
            change = self.convolve(change, conv_out)
            hidden = hidden + change if self.complete else change
            states.append(hidden)
        pairs = list(zip(states, self.skips, strict=True))
        branches = []
        total = self.convolve(*pairs[-1])
        if self.complete:
            total = tf.add_n([total, *(self.convolve(*pair) for pair in pairs[:-1])])
        else:
            # The true network adds the skips up, so that each receives and passes on a
            # gradient. Separate skips do the same without the additions.
            branches = [(tf.stop_gradient(state), skip) for state, skip in pairs[:-1]]
        last = relu(self._normalize(total, self.norm_out, training))
        return self.convolve(last, self.conv_out), total, branches

    def convolve(self, inputs, kernel):
        kernel = tf.cast(tf.convert_to_tensor(kernel), self.dtype)
        return tf.nn.conv2d(inputs, kernel, strides=1, padding="SAME")

    def _normalize(self, inputs, norm, training):
        scale, offset = (tf.convert_to_tensor(value) for value in norm)
        moments = {}
        if not training:
            moments = {"mean": tf.zeros_like(scale), "variance": tf.ones_like(scale)}
        return tf.compat.v1.nn.fused_batch_norm(
            inputs, scale, offset, is_training=training, **moments
        )[0]


def _after(done, value):
    with tf.control_dependencies(done):
        return tf.identity(value)


def score(networks):
    outputs, done = [], []
    for network in networks:
        inputs = _after(done, network.inputs)
        output, _, branches = network.run(inputs, training=False)
        skips = [network.convolve(*branch) for branch in branches]
        done = [_one(value) for value in (output, *skips)]
        outputs += done
    return outputs


def train(networks):
    # Run one network after the other, then back in reverse, as in a flow: TensorFlow
    # would run independent networks at the same time.
    ran, done = [], []
    for network in networks:
        inputs = _after(done, network.inputs)
        with tf.GradientTape() as tape:
            # The input of the first network is data, which needs no gradient.
            watched = [inputs] if ran else []
            tape.watch(watched)
            output, total, branches = network.run(inputs, training=True)
            watched += [entering for entering, _ in branches]
            tape.watch(watched)
            skips = [network.convolve(*branch) for branch in branches]
        done = [output, *skips]
        ran.append((network, tape, watched, done, total))
    gradients = []
    for network, tape, watched, results, total in reversed(ran):
        upstream = _after(done, network.upstream)
        # Any tensor of that shape does; this one costs nothing to make.
        into_skips = _after(done, tf.stop_gradient(total))
        found = tape.gradient(
            results,
            [network.variables, watched],
            output_gradients=[upstream, *[into_skips] * (len(results) - 1)],
        )
        # One value of each inner gradient, so that all are computed but not copied out.
        done = [_one(gradient) for gradient in found[1]]
        gradients += [*found[0], *done]
    return gradients


def _one(value):
    return tf.cast(tf.reshape(value, [-1])[0], tf.float32)
