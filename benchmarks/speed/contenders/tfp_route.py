"""The same couplings through TFP's own machinery: its cache, its `Chain`.

As in `tfb.RealNVP`, the value and the log-determinant each evaluate the network.
"""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from speed.contenders import Prepared
from speed.contenders.ours import (
    compiled,
    count_calls,
    count_parameters,
    couplings_of,
    made_up_images,
    networks_of,
)

tfb, tfd = tfp.bijectors, tfp.distributions


class Mode:
    """Whether the graph that is being traced is one of training."""

    training = False


def prepare(cell):
    flow, mode = nvp.image_flow(**cell["sizes"], seed=0), Mode()
    runs, route = count_calls(networks_of(flow)), route_of(flow, mode)
    pixels = tf.constant(made_up_images(cell["batch"], flow.event_shape), tf.float32)
    layers = [coupling.network for coupling in couplings_of(flow)]
    variables = [v for layer in layers for v in layer.trainable_variables]

    def loss():
        noisy = pixels + tf.random.uniform(pixels.shape)
        likelihood = -tf.reduce_mean(route.log_prob(noisy))
        return likelihood + sum(x for layer in layers for x in layer.losses)

    step = training_step(loss, variables)

    def train():
        mode.training = True
        try:
            return step()
        finally:
            mode.training = False

    return Prepared(
        {"train": train, **compiled(route, pixels)},
        parameters=count_parameters(flow.trainable_variables),
        networks=len(couplings_of(flow)),
        network_runs=runs,
    )


def training_step(loss, variables):
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


def route_of(flow, mode):
    """Returns a flow over pixels as TFP would make it, sharing its weights."""
    to_pixels, real_nvp = flow.bijector.bijectors
    bijector = tfb.Chain([to_pixels, _plain(real_nvp.body, mode)], name="route")
    return tfd.TransformedDistribution(flow.distribution, bijector)


def _plain(bijector, mode):
    if isinstance(bijector, nvp.FusedChain):
        return tfb.Chain([_plain(b, mode) for b in bijector.bijectors], name="chain")
    if isinstance(bijector, nvp.FactorOut):
        return PlainFactorOut(bijector, _plain(bijector.bijector, mode))
    if isinstance(bijector, nvp.AffineCoupling):
        return PlainCoupling(bijector, mode)
    if isinstance(bijector, nvp.BatchNorm | nvp.Squeeze):
        return Plain(bijector, mode)
    if hasattr(bijector, "bijector"):  # a tfb.Invert
        return tfb.Invert(_plain(bijector.bijector, mode))
    return bijector


class Plain(tfb.Bijector):
    """A bijector whose tensors TFP's cache knows.

    Without a forward log-determinant TFP takes the inverse one of the cached data,
    which for a batch normalization in training is the one that belongs to this batch.
    """

    def __init__(self, fused, mode, name="plain"):
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

    def _forward_event_shape(self, input_shape):
        return self._fused.forward_event_shape(input_shape)

    def _inverse_event_shape(self, output_shape):
        return self._fused.inverse_event_shape(output_shape)

    def _forward_event_shape_tensor(self, input_shape):
        return self._fused.forward_event_shape_tensor(input_shape)

    def _inverse_event_shape_tensor(self, output_shape):
        return self._fused.inverse_event_shape_tensor(output_shape)


class PlainCoupling(Plain):
    """A coupling, made as `tfb.RealNVP` is."""

    def _forward_log_det_jacobian(self, x):
        return self._fused._forward_and_log_det(x, training=self._mode.training)[1]


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
