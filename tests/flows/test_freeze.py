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

IMAGES = {"event_shape": (8, 8, 1), "filters": 4, "num_blocks": 2, "num_scales": 2}
ONE_SCALE = {**IMAGES, "num_scales": 1}


def normal(size):
    return tfd.Independent(tfd.Normal(tf.zeros([size]), 1.0), 1)


FLOWS = {
    "image flow": lambda: nvp.image_flow(**IMAGES),
    "without batch norm": lambda: nvp.image_flow(**ONE_SCALE, batch_norm=None),
    "by moving averages": lambda: nvp.image_flow(**ONE_SCALE, batch_norm="moving"),
    "with convolutions": lambda: nvp.image_flow(**ONE_SCALE, invertible_conv=True),
    "without crelu": lambda: nvp.image_flow(**ONE_SCALE, crelu=False),
    "float64": lambda: nvp.image_flow(**ONE_SCALE, dtype=tf.float64),
    "bfloat16 networks": lambda: nvp.image_flow(
        **ONE_SCALE, network_dtype="mixed_bfloat16"
    ),
    "conditional": lambda: nvp.image_flow(**ONE_SCALE, condition_size=3),
    "vectors": lambda: tfd.TransformedDistribution(
        normal(4), nvp.RealNVPBijector((4,), batch_norm="batch")
    ),
    "in a chain, inverted": lambda: tfd.TransformedDistribution(
        normal(4),
        tfb.Chain([tfb.Scale(2.0), tfb.Invert(nvp.RealNVPBijector((4,)))]),
    ),
    "on a transformed base": lambda: tfd.TransformedDistribution(
        tfd.TransformedDistribution(normal(4), nvp.RealNVPBijector((4,))),
        nvp.RealNVPBijector((4,), batch_norm="batch"),
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
    """Returns a flow and its frozen copy, for all tests that leave them as they are."""
    flow = trained(name)
    return flow, nvp.freeze(flow)


def arguments(name, batch):
    if name != "conditional":
        return {}
    return {"bijector_kwargs": {"condition": np.arange(batch) % 3}}


def tolerance(name):
    return {"float64": 1e-12, "bfloat16 networks": 0.05}.get(name, 1e-4)


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function], ids=["eager", "graph"])
@pytest.mark.parametrize("name", FLOWS)
def test_a_frozen_flow_gives_the_log_prob_of_the_live_one(name, wrap):
    flow, frozen = live_and_frozen(name)
    x = flow.sample(5, seed=(0, 1), **arguments(name, 5))
    expected = flow.log_prob(tf.identity(x), **arguments(name, 5))
    actual = wrap(lambda x: frozen.log_prob(x, **arguments(name, 5)))(x)
    np.testing.assert_allclose(actual, expected, rtol=tolerance(name))


@pytest.mark.parametrize("name", FLOWS)
def test_a_frozen_flow_draws_the_samples_of_the_live_one(name):
    flow, frozen = live_and_frozen(name)
    expected = flow.sample(5, seed=(0, 1), **arguments(name, 5))
    actual = frozen.sample(5, seed=(0, 1), **arguments(name, 5))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual / scale, expected / scale, atol=tolerance(name))


@pytest.mark.parametrize("name", FLOWS)
def test_a_frozen_flow_has_nothing_to_train(name):
    flow, frozen = live_and_frozen(name)
    assert flow.trainable_variables
    assert frozen.trainable_variables == ()


def test_a_frozen_flow_has_no_passes_to_go_back():
    bijector = nvp.RealNVPBijector((4,), memory="recompute")
    frozen = nvp.freeze(tfd.TransformedDistribution(normal(4), bijector))
    assert frozen.bijector.parameters["memory"] == "stored"


@pytest.mark.parametrize("name", ["image flow", "with convolutions", "vectors"])
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
        [
            layer
            for m in f.submodules
            if isinstance(m, nvp.AffineCoupling)
            for layer in m.network._flatten_layers()
            if isinstance(layer, nvp.WeightNormConv2D)
        ]
        for f in live_and_frozen("image flow")
    )
    assert len(live) == len(frozen) > 0
    for one, other in zip(live, frozen, strict=True):
        np.testing.assert_array_equal(other.direction, one.kernel_and_bias()[0])
        assert one.normalize and not other.normalize
        again = nvp.WeightNormConv2D.from_config(other.get_config())
        assert not again.normalize


def test_gradients_reach_the_input_of_a_frozen_flow():
    flows = live_and_frozen("image flow")
    x = flows[0].sample(3, seed=(0, 1))
    expected, actual = (
        tfp.math.value_and_gradient(lambda x, f=f: f.log_prob(x), x)[1] for f in flows
    )
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual / scale, expected / scale, atol=1e-4)


@pytest.mark.parametrize("name", ["image flow", "vectors"])
def test_frozen_flows_can_be_copied_and_pickled(name):
    _, frozen = live_and_frozen(name)
    x = frozen.sample(3, seed=(0, 1))
    expected = frozen.log_prob(tf.identity(x))
    for copied in (copy.deepcopy(frozen), pickle.loads(pickle.dumps(frozen))):
        np.testing.assert_array_equal(copied.log_prob(tf.identity(x)), expected)


@pytest.mark.parametrize("saved", [0, 1], ids=["live", "frozen"])
@pytest.mark.parametrize("loaded", [0, 1], ids=["into live", "into frozen"])
def test_weights_of_one_serve_the_other(tmp_path, saved, loaded):
    flow, frozen = live_and_frozen("with convolutions")
    x = flow.sample(3, seed=(0, 1))
    path = tmp_path / "flow.weights.h5"
    nvp.FlowModel((flow, frozen)[saved]).save_weights(path)
    other = FLOWS["with convolutions"]()
    other = (other, nvp.freeze(other))[loaded]
    nvp.FlowModel(other).load_weights(path)
    np.testing.assert_allclose(
        other.log_prob(tf.identity(x)), flow.log_prob(tf.identity(x)), rtol=1e-4
    )


def test_a_flow_with_nothing_to_freeze_stays_itself():
    log_normal = tfd.LogNormal(0.0, 1.0)
    assert nvp.freeze(log_normal) is log_normal


def test_a_base_that_is_a_log_normal_is_kept():
    base = tfd.Sample(tfd.LogNormal(0.0, 1.0), 4)
    flow = tfd.TransformedDistribution(base, nvp.RealNVPBijector((4,)))
    frozen = nvp.freeze(flow)
    assert frozen.distribution is base
    x = flow.sample(3, seed=(0, 1))
    np.testing.assert_allclose(
        frozen.log_prob(tf.identity(x)), flow.log_prob(tf.identity(x)), rtol=1e-4
    )


def test_a_coupling_with_a_foreign_network_keeps_a_copy_of_it():
    class Foreign(keras.layers.Layer):
        def build(self, shape):
            self.dense = keras.layers.Dense(4)
            self.dense.build(shape)

        def call(self, inputs, training=False):
            return tf.split(self.dense(inputs), 2, axis=-1)

    with keras.saving.custom_object_scope({"Foreign": Foreign}):
        network = Foreign()
        coupling = nvp.AffineCoupling((4,), network, nvp.channel_mask)
        flow = tfd.TransformedDistribution(normal(4), coupling)
        frozen = nvp.freeze(flow)
    x = flow.sample(3, seed=(0, 1))
    np.testing.assert_allclose(
        frozen.log_prob(tf.identity(x)), flow.log_prob(tf.identity(x)), rtol=1e-6
    )
    assert frozen.bijector.network is not network


@pytest.mark.parametrize("flow", [normal(4), nvp.RealNVPBijector((4,)), None])
def test_what_is_no_transformed_distribution_is_refused(flow):
    with pytest.raises(TypeError, match="flow: expected a tfd.TransformedDistribution"):
        nvp.freeze(flow)
