import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import perturb
from jacobian import jacobians

import tfp_realnvp as nvp

tfd = tfp.distributions


def flow_of(size, **sizes):
    return nvp.RealNVPBijector((size,), **{"hidden_units": (8,), "seed": 0, **sizes})


@pytest.mark.parametrize("size", [2, 3, 4, 7, 16])
def test_from_four_couplings_on_every_entry_depends_on_every_other(size):
    couplings = flow_of(size, num_couplings=9).body.bijectors
    masks = [c.parameters["mask"]((size,)).numpy().tolist() for c in couplings]
    assert all(one != next_one for one, next_one in itertools.pairwise(masks))
    flow = flow_of(size, num_couplings=4, dtype="float64")
    perturb(flow)
    x = tf.random.stateless_normal([1, size], seed=[0, 0], dtype=tf.float64)
    jacobian = jacobians(flow.forward, x)
    assert np.all(jacobian != 0)
    log_det = flow.forward_log_det_jacobian(x)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobian)[1], rtol=1e-9)


def test_defaults_are_those_of_vectors():
    flow = nvp.RealNVPBijector((3,))
    couplings = [b for b in flow.body.bijectors if isinstance(b, nvp.AffineCoupling)]
    assert len(couplings) == len(flow.body.bijectors) == 6
    assert couplings[0].network.network.hidden_units == (64, 64)
    assert flow.num_scales == 1
    z = tf.random.stateless_normal([100, 3], (0, 0))
    np.testing.assert_allclose(flow.forward(z), z, atol=0.2)
    assert [tuple(part.shape) for part in flow.split_latent(z)] == [(100, 3)]
    assert flow.merge_latent([z]) is z


def test_the_density_integrates_to_one():
    flow = flow_of(2, num_couplings=4)
    perturb(flow)
    base = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    distribution = tfd.TransformedDistribution(base, flow)
    axis = tf.linspace(-30.0, 30.0, 1201)
    grid = tf.stack(tf.meshgrid(axis, axis), axis=-1)
    total = tf.reduce_sum(tf.exp(distribution.log_prob(grid))) * (60 / 1200) ** 2
    np.testing.assert_allclose(total, 1, atol=1e-3)


@pytest.mark.parametrize(
    "conditioner",
    [keras.layers.Dense, functools.partial(nvp.MLP, hidden_units=(5,))],
    ids=["Dense", "MLP"],
)
def test_the_class_of_a_layer_makes_the_networks(conditioner):
    flow = nvp.RealNVPBijector((3,), conditioner=conditioner, dtype=tf.float64)
    x = tf.random.stateless_normal([4, 3], (0, 0), dtype=tf.float64)
    y = flow.forward(x)
    np.testing.assert_allclose(flow.inverse(tf.identity(y)), x, atol=1e-12)
    assert flow.trainable_variables[1].dtype == tf.float64


def test_another_number_of_dimensions_is_refused():
    flow = flow_of(3)
    base = tfd.MultivariateNormalDiag(tf.zeros(4), tf.ones(4))
    for call in (
        lambda: flow.inverse(tf.zeros([4])),
        lambda: flow.forward_event_shape([4]),
        lambda: tfd.TransformedDistribution(base, flow).sample(),
    ):
        with pytest.raises(ValueError, match=r"expected shape \(..., 3\), got \(4,\)"):
            call()


def test_unknown_shapes_are_taken_and_found_out():
    flow = flow_of(3)
    x = tf.ones([2, 4, 3])
    assert flow.inverse(tf.ones([2, 0, 3])).shape == (2, 0, 3)
    for spec in (None, [None, None, None]):
        forward = tf.function(
            flow.forward, input_signature=[tf.TensorSpec(spec, tf.float32)]
        )
        np.testing.assert_allclose(forward(x), flow.forward(x), atol=1e-6)
        with pytest.raises(tf.errors.InvalidArgumentError):
            forward(tf.ones([2, 4, 5]))
