import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.bijectors.fused_chain import nested_kwargs

tfb = tfp.bijectors


def test_order_and_log_det_are_those_of_tfb_chain():
    members = [tfb.Exp(), tfb.Scale(2.0), tfb.Shift(1.0)]
    ours, theirs = nvp.FusedChain(members), tfb.Chain(members)
    x = tf.constant([0.1, 0.2])
    np.testing.assert_allclose(ours.forward(x), theirs.forward(x))
    y = ours.forward(x)
    np.testing.assert_allclose(
        ours.inverse_log_det_jacobian(tf.identity(y)),
        theirs.inverse_log_det_jacobian(tf.identity(y)),
        rtol=1e-6,
    )


def test_keyword_arguments_reach_every_member():
    norms = [nvp.BatchNorm((2,)) for _ in range(2)]
    chain = nvp.FusedChain([norms[0], tfb.Scale(2.0), nvp.FusedChain([norms[1]])])
    chain.inverse(tf.constant([[1.0, 2.0], [3.0, 4.0]]), training=True)
    # The second sees data of variance 1/4, and mean 0 but for rounding.
    assert np.all(norms[0].moments.moving_mean.numpy() != 0)
    assert np.all(norms[1].moments.moving_variance.numpy() < 1)


def test_an_empty_chain_is_refused():
    with pytest.raises(TypeError, match="bijectors: expected .* at least one"):
        nvp.FusedChain([])


def test_nested_kwargs_reach_our_bijectors_in_tfp_compositions():
    norm = nvp.BatchNorm((2,), name="norm")
    chain = tfb.Chain([tfb.Exp(), tfb.Invert(norm)])
    kwargs = nested_kwargs(chain, training=True)
    chain.forward(tf.constant([[1.0, 2.0], [3.0, 4.0]]), **kwargs)
    assert np.any(norm.moments.moving_mean.numpy() != 0)
    assert nested_kwargs(tfb.Chain([tfb.Exp(), tfb.Scale(2.0)]), training=True) == {}


def batched_scale():
    return tfb.Scale([[2.0], [3.0]])


@pytest.mark.parametrize(
    "make",
    [
        lambda b: nvp.FusedChain([nvp.BatchNorm((2,)), b]),
        lambda b: nvp.FactorOut((4,), nvp.FusedChain([tfb.Invert(b), tfb.Exp()])),
        lambda b: nvp.FactorOut((4,), b),
    ],
)
def test_a_batch_of_parameters_is_refused(make):
    with pytest.raises(ValueError, match=r"bijectors?: expected .*batch shape \(2,\)"):
        make(batched_scale())


def test_unknown_arguments_are_refused_by_name():
    chain = nvp.FusedChain([nvp.BatchNorm((2,)), tfb.Exp()])
    with pytest.raises(TypeError, match="trainig: expected no argument of this name"):
        chain.inverse(tf.ones([3, 2]), trainig=True)


@pytest.mark.parametrize("mode", [lambda f: f, tf.function])
def test_in_training_a_chain_of_tfp_takes_the_log_dets_of_the_pass(mode):
    members = [
        nvp.BatchNorm((8, 8, 1)),
        tfb.Invert(nvp.Squeeze()),
        nvp.BatchNorm((4, 4, 4)),
    ]
    y = tf.random.stateless_normal([8, 8, 8, 1], (0, 0), mean=3.0, stddev=2.0)

    def log_dets(chain):
        kwargs = nested_kwargs(chain, training=True)
        x = chain.inverse(y, **kwargs)
        return x, chain.forward_log_det_jacobian(x, 3, **kwargs)

    fused, of_tfp = (
        [part.numpy() for part in mode(log_dets)(chain)]
        for chain in (nvp.FusedChain(members), tfb.Chain(members))
    )
    np.testing.assert_allclose(of_tfp[0], fused[0], atol=1e-5)
    np.testing.assert_allclose(of_tfp[1], fused[1], rtol=1e-5)


def test_members_of_one_name_with_other_arguments_are_refused():
    template = tfb.RealNVP(1, shift_and_log_scale_fn=lambda x, n: (x, x), name="same")
    chain = tfb.Chain([template, nvp.BatchNorm((2,), name="same")])
    with pytest.raises(ValueError, match="bijector: expected members of different nam"):
        nested_kwargs(chain, training=True)
    ours_beside_theirs = [nvp.RealNVPBijector((2,)), tfb.RealNVP(1, bijector_fn=print)]
    assert nested_kwargs(tfb.Chain(ours_beside_theirs), training=True)
