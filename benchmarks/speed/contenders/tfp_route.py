"""The same couplings through TFP's own machinery: its cache, its `Chain`.

As in `tfb.RealNVP`, the value and the log-determinant each evaluate the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from speed.contenders import Prepared, tf_threads
from speed.contenders.ours import (
    count_calls,
    count_couplings,
    count_parameters,
    made_up_images,
    networks_of,
)
from tfp_realnvp.bijectors.fused_chain import Invert
from tfp_realnvp.training.flow_layer import keras_layers

tfb, tfd = tfp.bijectors, tfp.distributions


class Mode:
    """Whether the graph that is being traced is one of training."""

    training = False


def prepare(cell: dict[str, Any]) -> Prepared:
    flow = nvp.image_flow(**cell["sizes"], seed=0)
    runs, mode, batch = count_calls(networks_of(flow)), Mode(), cell["batch"]
    to_pixels, real_nvp = flow.bijector.bijectors
    bijector = tfb.Chain([to_pixels, plain(real_nvp.body, mode)], name="route")
    route = tfd.TransformedDistribution(flow.distribution, bijector)
    images = made_up_images(batch, flow.event_shape)
    pixels = tf.constant(images, tf.float32)
    layers = keras_layers(flow)
    variables = [v for layer in layers for v in layer.trainable_variables]

    def loss():
        noise = tf.random.uniform(pixels.shape)
        likelihood = -tf.reduce_mean(
            route.log_prob(tf.cast(images, tf.float32) + noise)
        )
        return likelihood + sum(x for layer in layers for x in layer.losses)

    step = training_step(loss, variables)

    def train():
        mode.training = True
        try:
            return step()
        finally:
            mode.training = False

    log_prob = tf.function(route.log_prob)
    sample = tf.function(lambda seed: route.sample(batch, seed=seed))
    seed = tf.constant([0, 1])
    return Prepared(
        operations={
            "train": train,
            "log_prob": lambda: log_prob(pixels).numpy(),
            "sample": lambda: sample(seed).numpy(),
        },
        parameters=count_parameters(flow.trainable_variables),
        threads=tf_threads(),
        networks=count_couplings(flow),
        network_runs=runs,
    )


def training_step(
    loss: Callable[[], tf.Tensor], variables: Sequence[keras.Variable]
) -> Callable[[], float]:
    """Returns a step of the optimizer that `FlowModel` takes unless told another."""
    optimizer = keras.optimizers.Adam(global_clipnorm=100.0)
    optimizer.build(variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss()
        optimizer.apply(tape.gradient(value, [v.value for v in variables]), variables)
        return value

    return lambda: float(step())


def plain(bijector: tfb.Bijector, mode: Mode) -> tfb.Bijector:
    """Returns the bijector as TFP's own would be made, sharing its weights."""
    if isinstance(bijector, nvp.FusedChain):
        return tfb.Chain([plain(b, mode) for b in bijector.bijectors], name="chain")
    if isinstance(bijector, nvp.FactorOut):
        return PlainFactorOut(bijector, plain(bijector.bijector, mode))
    if isinstance(bijector, nvp.AffineCoupling):
        return PlainCoupling(bijector, mode)
    if isinstance(bijector, nvp.BatchNorm):
        return PlainBatchNorm(bijector, mode)
    if isinstance(bijector, nvp.Squeeze):
        return PlainSqueeze(bijector, mode)
    if isinstance(bijector, Invert):
        return tfb.Invert(plain(bijector.bijector, mode))
    return bijector


class _Plain(tfb.Bijector):
    def __init__(self, fused: tfb.Bijector, mode: Mode, name: str):
        parameters = dict(locals())
        super().__init__(forward_min_event_ndims=3, parameters=parameters, name=name)
        self._fused, self._mode = fused, mode

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}

    def _forward(self, x):
        return self._fused._forward_and_log_det(x, training=self._mode.training)[0]

    def _inverse(self, y):
        return self._fused._inverse_and_log_det(y, training=self._mode.training)[0]

    def _inverse_log_det_jacobian(self, y):
        return self._fused._inverse_and_log_det(y, training=self._mode.training)[1]


class PlainCoupling(_Plain):
    """A coupling, made as `tfb.RealNVP` is."""

    def __init__(self, fused, mode, name="plain_coupling"):
        super().__init__(fused, mode, name)

    def _forward_log_det_jacobian(self, x):
        return self._fused._forward_and_log_det(x, training=self._mode.training)[1]


class PlainBatchNorm(_Plain):
    """The normalization between couplings."""

    # Without a forward log-determinant TFP takes the inverse one of the cached data,
    # which in training is the one that belongs to this batch.
    def __init__(self, fused, mode, name="plain_batch_norm"):
        super().__init__(fused, mode, name)


class PlainSqueeze(_Plain):
    """A squeeze, whose tensors TFP's cache knows."""

    def __init__(self, fused, mode, name="plain_squeeze"):
        super().__init__(fused, mode, name)

    def _forward_event_shape(self, input_shape):
        return self._fused.forward_event_shape(input_shape)

    def _inverse_event_shape(self, output_shape):
        return self._fused.inverse_event_shape(output_shape)

    def _forward_event_shape_tensor(self, input_shape):
        return self._fused.forward_event_shape_tensor(input_shape)

    def _inverse_event_shape_tensor(self, output_shape):
        return self._fused.inverse_event_shape_tensor(output_shape)


class PlainFactorOut(tfb.Bijector):
    """Sends part of the channels through a bijector of TFP."""

    def __init__(self, fused, rest, name="plain_factor_out"):
        parameters = dict(locals())
        super().__init__(forward_min_event_ndims=3, parameters=parameters, name=name)
        self._fused, self._rest, self._parts = fused, rest, {}

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}

    def _going_on(self, value):
        # TFP's cache knows the rest's tensors by identity: a second split of the same
        # tensor would be new to it, and every network beyond would run a third time.
        if value.ref() not in self._parts:
            self._parts[value.ref()] = self._fused.split(value)[0]
        return self._parts[value.ref()]

    def _through(self, transform, value):
        result = transform(self._going_on(value))
        merged = self._fused.merge(result, self._fused.split(value)[1])
        self._parts[merged.ref()] = result
        return merged

    def _forward(self, x):
        return self._through(self._rest.forward, x)

    def _inverse(self, y):
        return self._through(self._rest.inverse, y)

    def _forward_log_det_jacobian(self, x):
        return self._rest.forward_log_det_jacobian(self._going_on(x), event_ndims=3)

    def _inverse_log_det_jacobian(self, y):
        return self._rest.inverse_log_det_jacobian(self._going_on(y), event_ndims=3)
