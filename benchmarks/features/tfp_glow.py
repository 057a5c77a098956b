"""TFP's image flow, put together as its documentation says."""

import keras
import tensorflow_probability as tfp

from features import READY, Attempt, Subject
from features import with_tensorflow as tools
from features.tfp_real_nvp import convolutions

tfb, tfd = tfp.bijectors, tfp.distributions


def keras_exit(input_shape, output_chan):
    return keras.Sequential([keras.Input(input_shape), *convolutions(2 * output_chan)])


def keras_coupling(input_shape):
    return keras_exit(input_shape, input_shape[-1])


def small_coupling(input_shape):
    return tfb.GlowDefaultNetwork(input_shape, num_hidden=4)


def flow_of(shape, make_coupling=small_coupling, make_exit=tfb.GlowDefaultExitNetwork):
    networks = []

    def kept(make):
        def make_and_keep(*args, **kwargs):
            networks.append(make(*args, **kwargs))
            return networks[-1]

        return make_and_keep

    glow = tfb.Glow(
        output_shape=shape,
        num_glow_blocks=2,
        num_steps_per_block=2,
        coupling_bijector_fn=kept(make_coupling),
        exit_bijector_fn=kept(make_exit),
    )
    latents = tfd.Sample(tfd.Normal(0.0, 1.0), glow.inverse_event_shape(shape))
    flow = glow(latents)
    # Its normalizations are initialized by the first batch.
    flow.log_prob(tools.normal([16, *shape]))
    return tools.flow_of(flow, networks)


def images():
    return flow_of(tools.IMAGE_SHAPE)


def larger_forward(flow):
    size = 4 * flow.module.distribution.event_shape[0]
    return flow.module.bijector.forward(tools.normal([2, size]))


def larger_copy(flow):
    height, width, channels = flow.module.event_shape
    larger = flow_of((2 * height, 2 * width, channels)).module
    for new, old in zip(larger.variables, flow.module.variables, strict=True):
        new.assign(old)
    return larger.sample(2)


SUBJECT = Subject(
    tools,
    flow=images,
    images=[Attempt(READY, "`tfb.Glow`", images)],
    larger=[
        Attempt("yes", "`forward` of more latents", larger_forward),
        Attempt("copied", "a copy", larger_copy, "weights copied into a second flow"),
    ],
    keras_flow=lambda: flow_of(tools.IMAGE_SHAPE, keras_coupling, keras_exit),
)
