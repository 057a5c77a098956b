"""The bijector of this package."""

import tensorflow_probability as tfp

import tfp_realnvp as nvp
from features import CONDITION_SIZE, READY, SIZE, Attempt, Subject
from features import with_tensorflow as tools

tfd = tfp.distributions


def _flow(event_shape, **sizes):
    bijector = nvp.RealNVPBijector(event_shape, seed=0, **sizes)
    networks = [b.network for b in bijector.body.bijectors if hasattr(b, "network")]
    flow = tfd.TransformedDistribution(tools.base(event_shape), bijector)
    return tools.flow_of(flow, networks)


def vectors(**options):
    return _flow((SIZE,), num_couplings=4, hidden_units=(8,), **options)


def images():
    return _flow(tools.IMAGE_SHAPE, filters=4, num_blocks=1)


def conditional():
    x = tools.normal([4, SIZE])
    return x, tools.given_conditions(vectors(condition_size=CONDITION_SIZE), x)


def larger(flow):
    height, width, channels = flow.module.event_shape
    base = tools.base([2 * height, 2 * width, channels])
    return tfd.TransformedDistribution(base, flow.module.bijector).sample(2, seed=1)


SUBJECT = Subject(
    tools,
    flow=vectors,
    images=[Attempt(READY, "RealNVPBijector", images)],
    vectors=[Attempt(READY, "RealNVPBijector", vectors)],
    conditions=[Attempt(READY, "condition_size", conditional)],
    larger=[Attempt(READY, "the bijector over a larger base", larger)],
    keras_flow=vectors,
)
