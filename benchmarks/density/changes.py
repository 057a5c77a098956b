"""Replaces parts of the package, to measure their effect.

Each change is a context manager, for flows made, trained and scored inside it.
"""

import contextlib
import functools
from unittest import mock

import tensorflow as tf

import tfp_realnvp as nvp

_patch = mock.patch.object


def _plain_convolutions():
    """Makes kernels plain variables, which start at the norm of normalized ones."""
    make = nvp.WeightNormConv2D.build

    def build(self, inputs_shape):
        self.learn_magnitude = False
        make(self, inputs_shape)
        norm = tf.sqrt(tf.reduce_sum(tf.square(self.direction), axis=[0, 1, 2]))
        self.direction.assign(self.direction * self.initial_magnitude / norm)
        self.normalize = False

    return _patch(nvp.WeightNormConv2D, "build", build)


@contextlib.contextmanager
def _no_skips():
    """Lets blocks reach the output only through the last of them."""
    make = nvp.ResNet.build

    def build(self, inputs_shape, context_shape=None, condition_shape=None):
        self.skips = self.skips[-1:]
        make(self, inputs_shape, context_shape, condition_shape)

    def call(self, inputs, context=None, condition=None, training=False):
        hidden = self.norm_in(inputs, training=training)
        parts = [tf.nn.relu(hidden), tf.nn.relu(-hidden)] if self.crelu else [hidden]
        if context is not None:
            parts.append(tf.cast(context, hidden.dtype))
        hidden = self.conv_in(tf.concat(parts, axis=-1))
        for block in self.blocks:
            hidden = block(hidden, training=training)
        hidden = self.norm_out(self.skips[0](hidden), training=training)
        return self.conv_out(tf.nn.relu(hidden))

    with _patch(nvp.ResNet, "build", build), _patch(nvp.ResNet, "call", call):
        yield


def _initial_gain(gain):
    make = nvp.ShiftAndLogScale.__init__

    def with_gain(self, *args, **kwargs):
        make(self, *args, **{**kwargs, "initial_gain": gain})

    return _patch(nvp.ShiftAndLogScale, "__init__", with_gain)


def _scale_then_shift():
    def affine(self, value, shift, log_scale, *, inverse):
        if inverse:
            return value * tf.exp(log_scale) + shift, log_scale
        return (value - shift) * tf.exp(-log_scale), -log_scale

    return _patch(nvp.AffineCoupling, "_affine", affine)


class CentredModel(nvp.FlowModel):
    """A `FlowModel` that trains on the centres of pixels, without noise."""

    def log_prob_parts(self, x, condition=None, training=False):
        if training:
            x = tf.cast(x, self.flow.dtype) + 0.5
        return super().log_prob_parts(x, condition, training=training)


CHANGES = {
    "plain convolutions": _plain_convolutions,
    "no skips": _no_skips,
    "gain 0": functools.partial(_initial_gain, 0.0),
    "gain 1": functools.partial(_initial_gain, 1.0),
    "scale then shift": _scale_then_shift,
    "centres": functools.partial(_patch, nvp, "FlowModel", CentredModel),
}
