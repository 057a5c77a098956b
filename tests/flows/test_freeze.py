import copy
import functools
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfb, tfd = tfp.bijectors, tfp.distributions

ONE_SCALE = {"event_shape": (8, 8, 1), "filters": 4, "num_blocks": 2, "num_scales": 1}


def flow_of(bijector, base=None):
    base = base or tfd.Sample(tfd.Normal(0.0, 1.0), 4)
    return tfd.TransformedDistribution(base, bijector)


def vectors(**options):
    return nvp.RealNVPBijector((4,), **options)


def additive():
    layer = keras.layers.Dense(2)
    return flow_of(nvp.Coupling((4,), layer, nvp.channel_mask, nvp.Additive()))


def images(**options):
    return functools.partial(nvp.image_flow, **{**ONE_SCALE, **options})


FLOWS = {
    "image flow": images(num_scales=2),
    "without batch norm": images(batch_norm=None),
    "by moving averages": images(batch_norm="moving", crelu=False),
    "with convolutions": images(num_scales=2, invertible_conv=True),
    "float64": images(dtype=tf.float64),
    "bfloat16": images(network_dtype="mixed_bfloat16"),
    "conditional": images(condition_size=3),
    "vectors": lambda: flow_of(vectors(batch_norm="batch")),
    "of any network": additive,
    "in a chain, inverted": lambda: flow_of(
        tfb.Chain([tfb.Scale(2.0), tfb.Invert(vectors())])
    ),
    "on a transformed base": lambda: flow_of(
        vectors(batch_norm="batch"), flow_of(vectors())
    ),
}


def trained(name):
    """Returns the flow with weights and moving averages unlike the initial ones."""
    flow = FLOWS[name]()
    rng = np.random.default_rng(0)
    for variable in flow.variables:
        values = variable.numpy().astype(np.float64)
        change = rng.uniform(0.8, 1.2, values.shape)
        # Averages of variances stay positive, gains leave 0.
        noise = rng.uniform(0.0, 0.01, values.shape)
        if "magnitude" in variable.name:
            change *= rng.choice([-1, 1], values.shape)
        variable.assign(tf.cast(values * change + noise, variable.dtype))
    return flow


@functools.cache
def live_and_frozen(name):
    """Returns a flow and its frozen copy, to be left as they are."""
    flow = trained(name)
    return flow, nvp.freeze(flow)


@pytest.mark.parametrize("name", FLOWS)
def test_a_frozen_flow_is_the_live_one_with_nothing_to_train(name):
    flow, frozen = live_and_frozen(name)
    assert flow.trainable_variables
    assert frozen.trainable_variables == ()
    kwargs = {}
    if name == "conditional":
        kwargs["bijector_kwargs"] = {"condition": np.arange(5) % 3}
    tolerance = {"float64": 1e-12, "bfloat16": 0.05}.get(name, 1e-4)
    x = flow.sample(5, seed=(0, 1), **kwargs)
    scale = np.abs(x).max()
    samples = frozen.sample(5, seed=(0, 1), **kwargs)
    np.testing.assert_allclose(samples / scale, x / scale, atol=tolerance)
    expected, found = (f.log_prob(tf.identity(x), **kwargs) for f in (flow, frozen))
    np.testing.assert_allclose(found, expected, rtol=tolerance)


@pytest.mark.parametrize("name", ["image flow", "with convolutions", "of any network"])
def test_a_frozen_flow_does_not_change_with_the_live_one_nor_by_training(name):
    flow = trained(name)
    frozen = nvp.freeze(flow)
    x = flow.sample(5, seed=(0, 1))
    before = frozen.log_prob(tf.identity(x)).numpy()
    flow.log_prob(tf.identity(x), bijector_kwargs={"training": True})
    for variable in flow.variables:
        variable.assign(0.9 * variable)
    frozen.log_prob(tf.identity(x), bijector_kwargs={"training": True})
    np.testing.assert_array_equal(frozen.log_prob(tf.identity(x)), before)


def test_kernels_of_a_frozen_network_are_the_normalized_ones():
    live, frozen = (
        f.bijector.bijectors[1].body.bijectors[0].network.network.conv_in
        for f in live_and_frozen("image flow")
    )
    np.testing.assert_array_equal(frozen.direction, live.kernel_and_bias()[0])
    assert live.normalize and not frozen.normalize
    again = nvp.WeightNormConv2D.from_config(frozen.get_config())
    assert not again.normalize


def test_frozen_flows_can_be_copied_and_pickled():
    _, frozen = live_and_frozen("image flow")
    x = frozen.sample(3, seed=(0, 1))
    expected = frozen.log_prob(tf.identity(x))
    for copied in (copy.deepcopy(frozen), pickle.loads(pickle.dumps(frozen))):
        np.testing.assert_array_equal(copied.log_prob(tf.identity(x)), expected)


def test_weights_of_one_serve_the_other(tmp_path):
    pair = live_and_frozen("with convolutions")
    x = pair[0].sample(3, seed=(0, 1))
    expected = pair[0].log_prob(x)
    for i, saved in enumerate(pair):
        path = tmp_path / f"{i}.weights.h5"
        nvp.FlowModel(saved).save_weights(path)
        live = FLOWS["with convolutions"]()
        for other in (live, nvp.freeze(live)):
            nvp.FlowModel(other).load_weights(path)
            found = other.log_prob(tf.identity(x))
            np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_what_is_not_ours_stays_itself_and_bijectors_are_refused():
    log_normal = tfd.LogNormal(0.0, 1.0)
    assert nvp.freeze(log_normal) is log_normal
    base = tfd.Sample(log_normal, 4)
    frozen = nvp.freeze(flow_of(nvp.RealNVPBijector((4,)), base))
    assert frozen.distribution is base
    with pytest.raises(TypeError, match="flow: expected a tfd.TransformedDistribution"):
        nvp.freeze(nvp.Squeeze())
