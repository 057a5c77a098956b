import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import CONSTRUCTORS, latents, make

import tfp_realnvp as nvp
from tfp_realnvp.flows.config import from_config, to_config

tfb = tfp.bijectors
tfd = tfp.distributions


def through_json(value):
    return from_config(json.loads(json.dumps(to_config(value))))


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_every_bijector_comes_back_with_the_same_structure(name):
    case = make(name)
    again = through_json(case.bijector)
    assert type(again) is type(case.bijector)
    ours, theirs = case.bijector.variables, again.variables
    assert [v.shape for v in ours] == [v.shape for v in theirs]
    for variable, value in zip(theirs, ours, strict=True):
        assert variable is not value
        variable.assign(value)
    x = latents(case, 2)
    np.testing.assert_array_equal(again.forward(x, **case.kwargs), case.forward(x))


def test_what_occurs_twice_is_shared_as_before():
    flow = nvp.RealNVPBijector((2,), num_couplings=2, hidden_units=(4,))
    loc = tf.Variable([0.0, 1.0], name="loc")
    mixture = tfd.Mixture(
        tfd.Categorical(logits=loc),
        [
            tfd.TransformedDistribution(tfd.MultivariateNormalDiag(loc), member)
            for member in (flow, flow.copy(name="copied"))
        ],
    )
    again = through_json(mixture)
    assert len(again.trainable_variables) == len(mixture.trainable_variables) == 11
    first, second = (c.bijector for c in again.components)
    assert first.body is second.body
    assert second.name == "copied"


def test_values_of_variables_and_tensors_are_exact():
    scale = tfp.util.TransformedVariable(
        np.float64([0.1, 1e-30]), tfb.Softplus(), dtype=tf.float64
    )
    base = tfd.MultivariateNormalDiag(tf.constant([1 / 3, 0], tf.float64), scale)
    again = through_json(base)
    assert len(again.trainable_variables) == 1
    np.testing.assert_array_equal(
        again.trainable_variables[0], base.trainable_variables[0]
    )
    np.testing.assert_array_equal(again.mean(), base.mean())


def test_activations_of_keras_are_known_by_name():
    slope = functools.partial(keras.activations.leaky_relu, negative_slope=0.5)
    for activation in (keras.activations.tanh, slope):
        flow = nvp.RealNVPBijector((2,), activation=activation)
        found = through_json(flow).parameters["conditioner"].activation
        assert repr(found) == repr(activation)


@pytest.mark.parametrize(
    ("make_flow", "message"),
    [
        (
            lambda: nvp.RealNVPBijector((2,), activation=lambda x: x),
            "flow.conditioner.activation: expected what public classes",
        ),
        (
            lambda: tfb.Chain([nvp.BatchNorm((2,)), type("Mine", (tfb.Exp,), {})()]),
            r"flow.bijectors\[1\]: expected what public classes .* got .*Mine",
        ),
    ],
)
def test_what_cannot_be_described_is_refused_with_its_place(make_flow, message):
    with pytest.raises(TypeError, match=message):
        to_config(make_flow())
