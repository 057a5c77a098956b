import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from health_subjects import (
    CHAIN,
    IMAGES,
    couplings,
    only,
)

import tfp_realnvp as nvp
from tfp_realnvp.health.network_health import watched_couplings

tfd = tfp.distributions


def test_scales_at_their_bound_are_named_with_their_coupling(model):
    head = couplings(model)[1].network
    head.gain.assign(1.0)
    conv_out = head.network.conv_out
    # Of the log-scales alone, which come after the shifts.
    conv_out.magnitude.assign([0.0, 0.0, 1e4, 1e4])
    report = nvp.flow_health(model, IMAGES)
    finding = only(report, "saturated scales")
    assert finding.where == f"{CHAIN}.bijectors[2]"
    found = report.couplings[1]
    assert found.saturated_share == finding.value > 0.9
    np.testing.assert_allclose(found.max_log_scale, 1, rtol=1e-4)
    others = [c.saturated_share for c in report.couplings if c is not found]
    assert max(others) < 0.1


def test_large_log_scales_are_named_with_their_coupling(model):
    head = couplings(model)[4].network
    conv_out = head.network.conv_out
    # Saturated in half of the channels alone, to and fro.
    conv_out.bias.assign([0.0] * 4 + [10.0, -10.0, 10.0, -10.0])
    head.gain.assign(9.0)
    report = nvp.flow_health(model, IMAGES)
    finding = only(report, "large log-scale")
    assert finding.where == f"{CHAIN}.bijectors[9]" == report.couplings[4].name
    assert 8.9 < finding.value <= 9 and 7.9 < finding.threshold < 8
    assert "of float32 are lost" in str(report)


def test_dead_channels_are_counted_where_they_are(model):
    coupling = couplings(model)[2]
    norm = coupling.network.network.blocks[0].norm_in
    norm.scale.assign([0.0, 1, 1, 1])
    norm.offset.assign([-1.0, 0, 0, 0])
    report = nvp.flow_health(model, IMAGES)
    dead = [c.dead_channels for c in report.couplings]
    assert dead == [0, 0, 1] + [0] * 7
    assert report.verdict == "healthy"
    norm.scale.assign(tf.zeros(4))
    norm.offset.assign(-tf.ones(4))
    finding = only(nvp.flow_health(model, IMAGES), "dead channels")
    assert finding.where == f"{CHAIN}.bijectors[4].network"
    # Nothing goes into the first convolution, so its channels are constant, and dead
    # where the constant is negative.
    assert finding.value >= 4 / 12 and "of 12 hidden channels" in finding.what


def test_statistics_of_what_does_not_vary_are_flat(model):
    norm = couplings(model)[0].network.network.blocks[0].norm_out
    norm.moments.moving_variance.assign([1.0, 1e-6, 1, 1e-7])
    finding = only(nvp.flow_health(model, IMAGES), "flat statistics")
    assert finding.where == f"{CHAIN}.bijectors[0].network.network.blocks[0].norm_out"
    assert "of 2 of 4 channels" in finding.what
    np.testing.assert_allclose(finding.value, 1e-7)


def test_channels_that_a_mask_passes_through_are_not_flat():
    bijector = nvp.BatchNorm((4,), mask=np.array([True, False, True, False]))
    base = tfd.MultivariateNormalDiag(tf.zeros(4), tf.ones(4))
    flow = tfd.TransformedDistribution(base, bijector)
    bijector.moments.moving_variance.assign([0.0, 1, 0, 1])
    x = np.random.default_rng(0).normal(size=[32, 4])
    assert nvp.flow_health(flow, x).flat_norms == ()
    bijector.moments.moving_variance.assign([0.0, 1, 0, 0])
    (norm,) = nvp.flow_health(flow, x).flat_norms
    assert (norm.name, norm.flat_channels, norm.channels) == ("flow.bijector", 1, 2)


def test_frozen_flows_are_looked_into_as_well(model):
    norm = couplings(model)[1].network.network.blocks[0].norm_in
    norm.scale.assign([0.0, 1, 1, 0])
    norm.offset.assign([-1.0, 0, 0, -1])
    report = nvp.flow_health(nvp.freeze(model.flow), IMAGES)
    assert [c.dead_channels for c in report.couplings] == [0, 2] + [0] * 8
    assert [c.channels for c in report.couplings] == [12] * 3 + [24] * 7
    assert report.gap == 0


def test_networks_of_another_make_are_not_looked_into_and_the_report_says_so():
    network = nvp.ShiftAndLogScale(keras.layers.Dense(4))
    coupling = nvp.AffineCoupling((4,), network, np.array([True, True, False, False]))
    base = tfd.MultivariateNormalDiag(tf.zeros(4), tf.ones(4))
    flow = tfd.TransformedDistribution(base, coupling)
    report = nvp.flow_health(flow, np.random.default_rng(0).normal(size=[64, 4]))
    assert report.couplings[0].channels is None
    assert "0 of 0 in 0 of 1 networks" in str(report)


def test_a_watch_ends_also_when_what_is_watched_fails(model):
    with pytest.raises(RuntimeError), watched_couplings(model.flow):
        raise RuntimeError
    assert "_shift_and_log_scale" not in vars(couplings(model)[0])
