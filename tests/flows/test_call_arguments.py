import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.flows.call_arguments import (
    condition_size_of_flow,
    distribution_kwargs,
    pixel_logit_of,
    reached_bijectors,
)

tfb = tfp.bijectors
tfd = tfp.distributions


def flow(base=None, **arguments):
    sizes = {"num_couplings": 2, "hidden_units": (4,)}
    base = base or tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    bijector = nvp.RealNVPBijector((2,), **sizes, **arguments)
    return tfd.TransformedDistribution(base, bijector)


def test_a_flow_over_a_flow_is_reached_through_the_base():
    inner = flow(batch_norm="batch")
    outer = flow(inner, condition_size=3)
    kwargs = distribution_kwargs(outer, training=True, condition=1)
    assert kwargs == {
        "distribution_kwargs": {"bijector_kwargs": {"training": True}},
        "bijector_kwargs": {"training": True, "condition": 1},
    }
    assert reached_bijectors(outer) == [outer.bijector, inner.bijector]
    assert condition_size_of_flow(outer) == 3
    with pytest.raises(ValueError, match="one condition_size .* got 2, 3"):
        condition_size_of_flow(flow(flow(condition_size=2), condition_size=3))
    moments = inner.bijector.body.bijectors[1].moments
    outer.log_prob(tf.ones([4, 2]) * [[1.0], [2.0], [3.0], [4.0]], **kwargs)
    assert moments.moving_mean.numpy().any()


def test_what_passes_nothing_on_is_given_nothing():
    mixture = tfd.Mixture(tfd.Categorical(logits=[0.0, 0.0]), [flow(), flow()])
    for distribution in (mixture, tfd.Normal(0.0, 1.0), tfd.LogNormal(0.0, 1.0)):
        assert distribution_kwargs(distribution, training=True) == {}
        assert reached_bijectors(distribution) == []
        assert condition_size_of_flow(distribution) is None


LOGIT = nvp.PixelLogit()
SCALED = [tfb.Shift(-0.5), tfb.Scale(1 / 256), LOGIT]


@pytest.mark.parametrize(
    ("bijector", "expected"),
    [
        (LOGIT, True),
        (tfb.Chain([LOGIT, tfb.Scale(2.0)]), True),
        (nvp.FusedChain([tfb.Chain([LOGIT]), tfb.Scale(2.0)]), True),
        (tfb.Chain([tfb.Reshape([2, 2]), nvp.FusedChain([LOGIT])]), True),
        (tfb.Chain(SCALED), False),
        (nvp.FusedChain(SCALED), False),
        (tfb.Chain([tfb.Scale(256.0), LOGIT]), False),
        (tfb.Invert(LOGIT), False),
        (tfb.Blockwise([LOGIT, tfb.Exp()], block_sizes=[2, 2]), False),
        (tfb.Exp(), False),
    ],
)
def test_over_pixels_is_what_has_a_pixel_logit_as_its_last_bijector(bijector, expected):
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 4)
    distribution = tfd.TransformedDistribution(base, bijector)
    assert pixel_logit_of(distribution) is (LOGIT if expected else None)
    one, two = tfd.Categorical([0.0]), tfd.BatchReshape(distribution, [1])
    for around in (tfd.Mixture(one, [distribution]), tfd.MixtureSameFamily(one, two)):
        assert pixel_logit_of(around) is (LOGIT if expected else None)
