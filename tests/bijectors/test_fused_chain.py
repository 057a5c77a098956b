import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.bijectors.fused_chain import nested_kwargs

tfb = tfp.bijectors
TWO_ROWS = tf.constant([[1.0, 2.0], [3.0, 4.0]])


def test_order_and_log_det_are_those_of_tfb_chain():
    members = [tfb.Exp(), tfb.Scale(2.0), tfb.Shift(1.0)]
    ours, theirs = nvp.FusedChain(members), tfb.Chain(members)
    x = tf.constant([0.1, 0.2])
    y = theirs.forward(x)
    np.testing.assert_allclose(ours.forward(x), y)
    found, expected = (
        chain.inverse_log_det_jacobian(tf.identity(y)) for chain in (ours, theirs)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_keyword_arguments_reach_every_member():
    norms = [nvp.BatchNorm((2,)) for _ in range(2)]
    chain = nvp.FusedChain([norms[0], tfb.Scale(2.0), nvp.FusedChain([norms[1]])])
    chain.inverse(TWO_ROWS, training=True)
    # The second sees data of variance 1/4, and mean 0 but for rounding.
    assert np.all(norms[0].moments.moving_mean.numpy() != 0)
    assert np.all(norms[1].moments.moving_variance.numpy() < 1)


def test_nested_kwargs_reach_our_bijectors_in_tfp_compositions():
    norm = nvp.BatchNorm((2,), name="norm")
    chain = tfb.Chain([tfb.Exp(), tfb.Invert(norm)])
    chain.forward(TWO_ROWS, **nested_kwargs(chain, training=True))
    assert np.any(norm.moments.moving_mean.numpy() != 0)
    assert nested_kwargs(tfb.Chain([tfb.Exp(), tfb.Scale(2.0)]), training=True) == {}


BATCHED = tfb.Scale([[2.0], [3.0]])
TEMPLATE = tfb.RealNVP(1, shift_and_log_scale_fn=lambda x, n: (x, x), name="same")
OF_ONE_NAME = [TEMPLATE, nvp.BatchNorm((2,), name="same")]
NORM_AND_EXP = [nvp.BatchNorm((2,)), tfb.Exp()]


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("bijectors: expected .* at least one", lambda: nvp.FusedChain([])),
        (
            r"bijectors: expected .*batch shape \(2,\)",
            lambda: nvp.FusedChain([nvp.BatchNorm((2,)), BATCHED]),
        ),
        (
            r"bijectors?: expected .*batch shape \(2,\)",
            lambda: nvp.FactorOut(
                (4,), nvp.FusedChain([tfb.Invert(BATCHED), tfb.Exp()])
            ),
        ),
        (
            r"bijector: expected .*batch shape \(2,\)",
            lambda: nvp.FactorOut((4,), BATCHED),
        ),
        (
            "trainig: expected no argument of this name",
            lambda: nvp.FusedChain(NORM_AND_EXP).inverse(TWO_ROWS, trainig=True),
        ),
        (
            "bijector: expected members of different nam",
            lambda: nested_kwargs(tfb.Chain(OF_ONE_NAME), training=True),
        ),
    ],
)
def test_what_cannot_be_chained_is_refused(message, make):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_our_flow_beside_that_of_tfp_has_a_name_of_its_own():
    ours_beside_theirs = [nvp.RealNVPBijector((2,)), tfb.RealNVP(1, bijector_fn=print)]
    assert nested_kwargs(tfb.Chain(ours_beside_theirs), training=True)


@pytest.mark.parametrize("mode", [lambda f: f, tf.function])
def test_in_training_a_chain_of_tfp_takes_the_log_dets_of_the_pass(mode):
    norms = nvp.BatchNorm((8, 8, 1)), nvp.BatchNorm((4, 4, 4))
    members = [norms[0], tfb.Invert(nvp.Squeeze()), norms[1]]
    y = tf.random.stateless_normal([8, 8, 8, 1], (0, 0), mean=3.0, stddev=2.0)

    def log_dets(chain):
        kwargs = nested_kwargs(chain, training=True)
        x = chain.inverse(y, **kwargs)
        return x, chain.forward_log_det_jacobian(x, 3, **kwargs)

    fused, of_tfp = (
        mode(log_dets)(chain) for chain in (nvp.FusedChain(members), tfb.Chain(members))
    )
    np.testing.assert_allclose(of_tfp[0], fused[0], atol=1e-5)
    np.testing.assert_allclose(of_tfp[1], fused[1], rtol=1e-5)
