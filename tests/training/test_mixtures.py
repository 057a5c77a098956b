import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfd = tfp.distributions


def flow_of(**sizes):
    return tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2)),
        nvp.RealNVPBijector((2,), num_couplings=2, hidden_units=(8,), **sizes),
    )


def mixture_of(*flows):
    logits = tf.Variable(tf.zeros(len(flows)), name="logits")
    return tfd.Mixture(tfd.Categorical(logits=logits), flows)


def test_a_mixture_of_two_flows_trains_with_its_weights():
    rng = np.random.default_rng(0)
    side = rng.choice([-3.0, 3.0], p=[0.2, 0.8], size=400)
    x = rng.normal(scale=0.5, size=(400, 2)) + side[:, None]
    mixture = mixture_of(flow_of(seed=0), flow_of(seed=1))
    model = nvp.FlowModel(mixture)
    model.compile("adam")
    untrained = model.evaluate(x, verbose=0, return_dict=True)["nll"]
    model.fit(x, epochs=5, verbose=0)
    assert model.evaluate(x, verbose=0, return_dict=True)["nll"] < untrained - 0.5
    assert np.any(mixture.cat.logits.numpy() != 0)
    assert mixture.sample(5, seed=(0, 1)).shape == (5, 2)


def test_what_a_mixture_would_not_be_told_is_refused():
    with pytest.raises(ValueError, match="expected flows with batch_norm=None inside"):
        nvp.FlowModel(mixture_of(flow_of(), flow_of(batch_norm="batch")))
    with pytest.raises(ValueError, match="expected flows without condition inside"):
        nvp.FlowModel(mixture_of(flow_of(condition_size=2), flow_of()))
