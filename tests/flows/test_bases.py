"""Any distribution can be the base (Section 3.1), and is trained with the flow."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfb = tfp.bijectors
tfd = tfp.distributions
SIZES = {"num_couplings": 2, "hidden_units": (4,)}


def flow_over(base, **options):
    bijector = nvp.RealNVPBijector((2,), seed=0, **SIZES, **options)
    return tfd.TransformedDistribution(base, bijector)


def sample():
    return tfd.Sample(tfd.Normal(0.0, tf.Variable(1.0, name="scale")), 2)


def multivariate():
    scale = tfp.util.TransformedVariable([1.0, 1.0], tfb.Softplus(), name="scale")
    return tfd.MultivariateNormalDiag(tf.Variable([0.0, 0.0], name="loc"), scale)


def mixture():
    return tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.Variable([0.0, 0.1], name="logits")),
        tfd.MultivariateNormalDiag(tf.Variable([[-1.0, 0.0], [1.0, 0.0]], name="loc")),
    )


def autoregressive():
    network = tfb.AutoregressiveNetwork(
        params=2, event_shape=[2], hidden_units=[4], activation="tanh"
    )
    return tfd.TransformedDistribution(
        tfd.Sample(tfd.Normal(0.0, 1.0), [2]), tfb.MaskedAutoregressiveFlow(network)
    )


def another_flow():
    return flow_over(tfd.MultivariateNormalDiag(tf.zeros(2)), batch_norm="batch")


@pytest.mark.parametrize(
    "base", [sample, multivariate, mixture, autoregressive, another_flow]
)
def test_a_flow_over_any_base_samples_scores_and_trains_all_there_is(base):
    flow = flow_over(base())
    x = flow.sample(64, seed=(0, 1))
    z = flow.bijector.inverse(tf.identity(x))
    expected = flow.distribution.log_prob(z)
    expected += flow.bijector.inverse_log_det_jacobian(tf.identity(x))
    np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-3, atol=1e-3)

    model = nvp.FlowModel(flow)
    trained = {id(v.value) for v in model.trainable_variables}
    assert trained == {id(v) for v in flow.trainable_variables}
    before = [v.numpy() for v in model.trainable_variables]
    model.compile()
    shifted = x.numpy() * 2.0 + 1.0
    untrained = model.evaluate(shifted, verbose=0, return_dict=True)["nll"]
    model.fit(shifted, epochs=5, batch_size=16, verbose=0)
    assert model.evaluate(shifted, verbose=0, return_dict=True)["nll"] < untrained
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(variable.numpy(), old), variable.path


@pytest.mark.parametrize(
    ("base", "got"),
    [
        (tfd.Normal(tf.zeros(2), 1.0), r"\(\)"),
        (tfd.MultivariateNormalDiag(tf.zeros(3)), r"\(3,\)"),
    ],
)
def test_bases_of_other_events_are_refused_with_what_to_do(base, got):
    message = rf"expected shape \(\.\.\., 2\), got {got}. A base .* tfd.Independent"
    with pytest.raises(ValueError, match=message):
        flow_over(base).log_prob(tf.zeros([4, 2]))


def test_a_base_of_single_numbers_is_not_taken_for_one_of_events():
    bijector = nvp.RealNVPBijector((3,), **SIZES)
    message = "events of rank 1, got .* tfd.Independent"
    for around in (bijector, tfb.Chain([bijector]), nvp.FusedChain([bijector])):
        flow = tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), around)
        for count in (2, 3, [3, 3]):
            with pytest.raises(ValueError, match=message):
                flow.sample(count)
    with pytest.raises(ValueError, match="A base .* tfd.Independent"):
        nvp.FlowModel(flow)
