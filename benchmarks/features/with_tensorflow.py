"""The tools of the probes for flows in TensorFlow Probability."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from speed.contenders.ours import count_calls as count_calls

from features import DISTURBANCE, SIDE, Flow

tfd = tfp.distributions

IMAGE_SHAPE = (SIDE, SIDE, 3)
tensor = tf.constant


def flow_of(distribution, networks):
    """Returns a transformed distribution in the form that the probes take."""
    bijector, ndims = distribution.bijector, len(distribution.event_shape)

    def inverse(x):
        return bijector.inverse(x), bijector.inverse_log_det_jacobian(x, ndims)

    joint = distribution.experimental_sample_and_log_prob
    return Flow(
        distribution,
        distribution.log_prob,
        lambda count: distribution.sample(count, seed=(0, 1)),
        inverse,
        networks,
        ("`experimental_sample_and_log_prob`", lambda count: joint(count, seed=(0, 1))),
    )


def given_conditions(flow, x):
    """Returns the density of events as a function of conditions."""
    return lambda condition: flow.log_prob(
        copied(x), bijector_kwargs={"condition": condition}
    )


def base(shape):
    return tfd.Independent(tfd.Normal(tf.zeros(shape), 1.0), len(shape))


def seed():
    keras.utils.set_random_seed(0)


def normal(shape, seed=0):
    return tf.random.stateless_normal(shape, seed=(seed, 2))


def copied(x):
    """Returns a copy that no cache knows."""
    return tf.constant(x.numpy())


def to_numpy(x):
    return x.numpy()


def disturb(flow):
    """Adds noise to all weights, so that no coupling is the identity."""
    weights = [w for network in flow.networks for w in network.trainable_variables]
    for seed, weight in enumerate([*weights, *flow.module.trainable_variables]):
        weight.assign(weight + DISTURBANCE * normal(weight.shape, seed))


def jacobian(flow, x):
    x = copied(x)  # latents that the flow kept have no gradient
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        z = tf.reshape(flow.inverse(x)[0], [-1])
    rows = tape.jacobian(z, x, experimental_use_pfor=False)
    return tf.reshape(rows, [z.shape[0], -1]).numpy()


def seen_weights(flow):
    """Returns how many weights of Keras 3 networks are listed, and of how many."""
    for network in flow.networks:
        if not isinstance(network, keras.Layer):
            raise TypeError(f"networks: expected a keras.Layer, got {network!r}.")
    listed = {id(variable) for variable in flow.module.trainable_variables}
    weights = [w for network in flow.networks for w in network.trainable_variables]
    seen = [bool({id(w), id(w.value)} & listed) for w in weights]
    return sum(seen), len(seen)


def score_batches_unknown_to_the_graph(flow):
    x = flow.sample(3)
    spec = tf.TensorSpec([None, *x.shape[1:]], x.dtype)
    log_prob = tf.function(flow.log_prob, input_signature=[spec])
    for count in (2, 3):
        expected = flow.log_prob(copied(x[:count]))
        tf.debugging.assert_near(log_prob(x[:count]), expected, rtol=1e-3)


def _saved_model(flow, x, folder):
    module = tf.Module()
    # The networks too, for distributions that do not hold them.
    module.parts = [flow.module, *flow.networks]
    spec = tf.TensorSpec(x.shape, x.dtype)
    module.log_prob = tf.function(flow.log_prob, input_signature=[spec])
    tf.saved_model.save(module, str(folder))


ARTIFACTS = {"SavedModel": _saved_model}
