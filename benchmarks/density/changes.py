"""Parts of the package replaced, to see what they are worth.

Each change is a context manager; flows made inside of it, and trained, are changed.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from unittest import mock

import tensorflow as tf

import tfp_realnvp as nvp
from density.glow import act_norm, learned_base
from density.mixture import mixture_couplings
from density.variational import VariationalModel
from tfp_realnvp.bijectors import AffineCoupling
from tfp_realnvp.flows import couplings
from tfp_realnvp.nets import ResNet, resnet
from tfp_realnvp.nets.resnet import features
from tfp_realnvp.nets.weight_norm import WeightNormConv2D
from tfp_realnvp.training import flow_layer


class PlainConv2D(WeightNormConv2D):
    """Convolution whose kernel is a variable, at first as long as a normalized one."""

    def build(self, inputs_shape):
        self.learn_magnitude = False
        super().build(inputs_shape)
        norm = tf.sqrt(tf.reduce_sum(tf.square(self.direction), axis=[0, 1, 2]))
        self.direction.assign(self.direction * self.initial_magnitude / norm)

    def kernel_and_bias(self, scale=None, offset=None):
        kernel = tf.convert_to_tensor(self.direction)
        bias = tf.convert_to_tensor(self.bias) if self.use_bias else None
        if scale is not None:
            kernel *= scale
            bias = None if bias is None else bias * scale
        if offset is not None:
            bias = offset if bias is None else bias + offset
        return kernel, bias


class WithoutSkips(ResNet):
    """Network whose blocks reach the output only through the last of them."""

    def build(self, inputs_shape, context_shape=None, condition_shape=None):
        self.skips = self.skips[-1:]
        super().build(inputs_shape, context_shape, condition_shape)

    def call(self, inputs, context=None, condition=None, training=False):
        hidden = self.norm_in(inputs, training=training)
        hidden = self.conv_in(features(hidden, context, self.crelu))
        for block in self.blocks:
            hidden = block(hidden, training=training)
        hidden = self.norm_out(self.skips[0](hidden), training=training)
        return self.conv_out(tf.nn.relu(hidden))


def _scale_then_shift(self, value, shift, log_scale, *, inverse):
    if inverse:
        return value * tf.exp(log_scale) + shift, log_scale
    return (value - shift) * tf.exp(-log_scale), -log_scale


def _centred(images, seed):
    return images + 0.5


@contextlib.contextmanager
def _plain_convolutions() -> Iterator[None]:
    with mock.patch.object(resnet, "WeightNormConv2D", PlainConv2D):
        yield


def _initial_gain(gain: float) -> Callable:
    make = couplings.CouplingMaker.__call__

    def with_gain(*args, **kwargs):
        return make(*args, **{**kwargs, "initial_gain": gain})

    return functools.partial(
        mock.patch.object, couplings.CouplingMaker, "__call__", with_gain
    )


@contextlib.contextmanager
def _learned_base() -> Iterator[None]:
    image_flow = nvp.image_flow

    def with_base(**options):
        return image_flow(**options, base=learned_base(options["event_shape"]))

    with mock.patch.object(nvp, "image_flow", with_base):
        yield


CHANGES: dict[str, Callable[[], contextlib.AbstractContextManager]] = {
    "plain convolutions": _plain_convolutions,
    "no skips": functools.partial(mock.patch.object, couplings, "ResNet", WithoutSkips),
    "gain 0": _initial_gain(0.0),
    "gain 1": _initial_gain(1.0),
    "scale then shift": functools.partial(
        mock.patch.object, AffineCoupling, "_affine", _scale_then_shift
    ),
    "centres": functools.partial(
        mock.patch.object, flow_layer, "dequantized", _centred
    ),
    "act norm": act_norm,
    "learned base": _learned_base,
    "mixture couplings": mixture_couplings,
    "variational dequantization": functools.partial(
        mock.patch.object, nvp, "FlowModel", VariationalModel
    ),
}
