import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import perturb
from jacobian import jacobians

import tfp_realnvp as nvp

tfd = tfp.distributions


def flow(event_shape=(8, 8, 1), **sizes):
    sizes = {"filters": 4, "num_blocks": 1, "seed": 0, **sizes}
    return nvp.RealNVPBijector(event_shape, **sizes)


def members(chain):
    """Yields names of the members, and lists of what goes on to another scale."""
    for bijector in chain.bijectors:
        yield type(bijector).__name__.lstrip("_")
        if isinstance(bijector, nvp.FactorOut):
            yield list(members(bijector.bijector))


def couplings(chain):
    found = []
    for bijector in chain.bijectors:
        if isinstance(bijector, nvp.FactorOut):
            found += couplings(bijector.bijector)
        elif isinstance(bijector, nvp.AffineCoupling):
            found.append(bijector)
    return found


def test_scales_are_put_together_as_in_section_3_6():
    normed = ["AffineCoupling", "BatchNorm"]
    last = 4 * normed
    scale = [*3 * normed, "Invert", *3 * normed, "FactorOut"]
    first = [*scale, [*scale, last, "Squeeze"], "Squeeze"]
    assert list(members(flow(num_scales=3).body)) == first
    mixed = 3 * ["InvertibleConv", *normed]
    first = [*3 * normed, "Invert", *mixed, "FactorOut", last, "Squeeze"]
    body = nvp.RealNVPBijector((4,), nvp.CouplingStack(2, invertible_conv=True)).body
    assert list(members(body)) == 2 * ["InvertibleConv", "AffineCoupling"]
    body = flow(invertible_conv=True).body
    assert list(members(body)) == first
    (factor_out,) = (b for b in body.bijectors if isinstance(b, nvp.FactorOut))
    assert factor_out.parameters["mask"] is nvp.diagonal_mask
    norms = [b.moments for b in body.bijectors if isinstance(b, nvp.BatchNorm)]
    assert {moments.normalize_by for moments in norms} == {"batch"}
    heads = [c.network for c in couplings(flow(num_scales=3).body)]
    filters = [4] * 3 + [8] * 3 + [8] * 3 + [16] * 3 + [16] * 4
    assert [head.network.filters for head in heads] == filters
    gains = 2 * [0.0, 0.0, 0.0, 1.0, 1.0, 1.0] + 4 * [0.0]
    assert [head.initial_gain for head in heads] == gains
    assert {head.gain_regularizer.l2 for head in heads} == {5e-5}


def test_every_pixel_depends_on_every_latent():
    bijector = flow((4, 4, 1), num_scales=2)
    perturb(bijector)
    z = tf.random.stateless_normal([1, 4, 4, 1], [0, 0])
    assert np.all(jacobians(bijector.forward, z) != 0)


@pytest.mark.parametrize("num_scales", [1, 2, 3])
def test_latents_split_by_scale_and_merge_again(num_scales):
    bijector = flow((8, 16, 3), num_scales=num_scales)
    z = tf.random.stateless_normal([2, 5, 8, 16, 3], [0, 0])
    latents = bijector.split_latent(z)
    expected = [(8 // 2**i, 16 // 2**i, 3 * 2**i) for i in range(1, num_scales)]
    expected.append(expected[-1] if expected else (8, 16, 3))
    assert [tuple(x.shape) for x in latents] == [(2, 5, *s) for s in expected]
    np.testing.assert_array_equal(bijector.merge_latent(latents), z)
    with pytest.raises(ValueError, match=f"latents: expected {num_scales} tensors"):
        bijector.merge_latent([*latents, z])


def test_latents_of_the_first_scale_do_not_enter_the_later_ones():
    bijector = flow(num_scales=3)
    perturb(bijector)
    factor_out = next(b for b in bijector.body.bijectors if hasattr(b, "split"))
    z = tf.random.stateless_normal([1, 8, 8, 1], [0, 0])
    first, *others = bijector.split_latent(z)
    changed = bijector.merge_latent([first + 1.0, *others])
    # What the deeper scales make of their latents stays as it was.
    one, other = (
        factor_out.split(factor_out.forward(nvp.Squeeze().forward(x)))[0]
        for x in (z, changed)
    )
    np.testing.assert_array_equal(one, other)


def test_trained_weights_serve_images_of_other_sizes_known_when_it_runs():
    bijector = flow(num_scales=3)
    signature = [tf.TensorSpec([None, None, None, 1])]
    forward = tf.function(bijector.forward, input_signature=signature)
    for shape in [(16, 16, 1), (4, 12, 1), (80, 80, 1)]:
        z = tf.random.stateless_normal([2, *shape], [0, 0])
        x = bijector.forward(z)
        np.testing.assert_allclose(bijector.inverse(tf.identity(x)), z, atol=1e-3)
        np.testing.assert_allclose(forward(z), x, rtol=1e-4, atol=1e-4)


def test_all_weights_are_visible_however_the_flow_is_wrapped():
    bijector = flow()
    count = len(bijector.trainable_variables)
    assert count == sum(len(c.trainable_variables) for c in couplings(bijector.body))
    base = tfd.Independent(tfd.Normal(tf.zeros([8, 8, 1]), 1.0), 3)
    tfb = tfp.bijectors
    for wrapped in (
        tfb.Chain([bijector, tfb.Scale(2.0)]),
        tfb.Invert(bijector),
        tfd.TransformedDistribution(base, bijector),
        tfd.TransformedDistribution(base, tfb.Chain([tfb.Exp(), bijector])),
        nvp.FusedChain([bijector]),
        nvp.image_flow(event_shape=(8, 8, 1), filters=4, num_blocks=1),
    ):
        assert len(wrapped.trainable_variables) == count


@pytest.mark.parametrize("shape", [(2, 9, 8, 1), (2, 8, 8, 3), (8, 8), (2, 6, 6, 1)])
def test_images_that_do_not_fit_are_refused(shape):
    bijector = flow(num_scales=3)
    with pytest.raises(ValueError, match=r"y: expected shape \(..., 8, 8, 1\).*got"):
        bijector.inverse(tf.zeros(shape))


def test_sizes_are_fields_of_architecture_and_conditioner():
    short = flow((4, 4, 1), num_scales=2, invertible_conv=True)
    architecture = nvp.MultiScale(2, invertible_conv=True)
    conditioner = nvp.ResNetConditioner(4, num_blocks=1)
    long = nvp.RealNVPBijector((4, 4, 1), architecture, conditioner, seed=0)
    one, other = short.trainable_variables, long.trainable_variables
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    wider = short.copy(filters=6)
    assert not {id(v) for v in short.variables} & {id(v) for v in wider.variables}
    assert short.copy() == short and wider.copy() == wider
    wider = wider.copy(conditioner=nvp.ResNetConditioner(8, 1))
    assert wider.body.bijectors[0].network.network.filters == 8


def test_a_partial_of_a_conditioner_keeps_what_it_says():
    def network(outputs, seed, level):
        given.append((seed, level))
        return keras.layers.Dense(outputs)

    given = []
    conditioner = functools.partial(network, seed=7)
    nvp.RealNVPBijector((4, 4, 1), num_scales=1, conditioner=conditioner, seed=0)
    assert given == 4 * [(7, 0)]
