"""TFP's coupling, with permutations in between as its documentation advises."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from features import PARTS, SIZE, Attempt, Subject
from features import with_tensorflow as tools
from features.ours import larger

tfb, tfd = tfp.bijectors, tfp.distributions

TEMPLATE = "`real_nvp_default_template`"
OWN_NETWORK = "around networks that the user writes"


class ShiftAndLogScale(tf.Module):
    """The network of TFP's coupling; a `tf.Module`, so that TFP finds its variables."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def __call__(self, x, output_units, condition=None):
        if condition is not None:
            x = tf.concat([x, condition], axis=-1)
        shift, log_scale = tf.split(self.network(x), 2, axis=-1)
        return shift, tf.tanh(log_scale)


def dense(outputs):
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dense(outputs)]
    return ShiftAndLogScale(keras.Sequential(layers))


def convolutions(outputs):
    return [
        keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
        keras.layers.Conv2D(outputs, 3, padding="same"),
    ]


def convolutional(outputs):
    return ShiftAndLogScale(keras.Sequential(convolutions(outputs)))


def default_template(outputs):
    return tfb.real_nvp_default_template(hidden_layers=[8])


def flow_of(shape, make):
    size, masked = shape[-1], shape[-1] // 2
    functions = [make(2 * (size - masked)) for _ in range(4)]
    rolled = [*range(masked, size), *range(masked)]
    members = []
    for function in functions:
        coupling = tfb.RealNVP(num_masked=masked, shift_and_log_scale_fn=function)
        members += [coupling, tfb.Permute(rolled)]
    chain = tfb.Chain(members[:-1], name="chain")
    distribution = tfd.TransformedDistribution(tools.base(shape), chain)
    distribution.log_prob(tools.normal([2, *shape]))  # makes the weights
    networks = [f.network for f in functions if isinstance(f, ShiftAndLogScale)]
    return tools.flow_of(distribution, networks)


def vectors(make=dense):
    return flow_of((SIZE,), make)


def images(make=convolutional):
    return flow_of(tools.IMAGE_SHAPE, make)


def conditional(make=dense):
    function = make(SIZE)
    coupling = tfb.RealNVP(num_masked=SIZE // 2, shift_and_log_scale_fn=function)
    flow = tfd.TransformedDistribution(tools.base([SIZE]), coupling)
    x = tools.normal([4, SIZE])

    return x, tools.given_conditions(flow, x)


def _attempts(make):
    return [
        Attempt(PARTS, TEMPLATE, lambda: make(default_template)),
        Attempt(PARTS, "networks of one's own", make, OWN_NETWORK),
    ]


SUBJECT = Subject(
    tools,
    flow=vectors,
    images=_attempts(images),
    vectors=_attempts(vectors),
    conditions=_attempts(conditional),
    larger=[Attempt("yes", "the bijector over a larger base", larger)],
    keras_flow=vectors,
)
