import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from health_subjects import (
    CHAIN,
    IMAGES,
    couplings,
    kinds,
    only,
)

import tfp_realnvp as nvp

tfb = tfp.bijectors
tfd = tfp.distributions


class Rounded(tfb.Bijector):
    """The identity there; on the way back some entries are lost."""

    def __init__(self, step, forward=True):
        super().__init__(forward_min_event_ndims=1)
        self._step = step
        self._forward_rounds = forward

    def _rounded(self, x):
        return tf.concat(
            [tf.round(x[..., :1] / self._step) * self._step, x[..., 1:]], -1
        )

    def _forward(self, x):
        return self._rounded(x)

    def _inverse(self, y):
        return tf.identity(y)

    def _forward_log_det_jacobian(self, x):
        return tf.zeros(tf.shape(x)[:-1])


class Spoiled(tfb.Bijector):
    """The identity, but for one entry of one example that `inverse` loses."""

    def __init__(self, *place):
        super().__init__(forward_min_event_ndims=3)
        self._place = place

    def _forward(self, x):
        return tf.identity(x)

    def _inverse(self, y):
        # Samples are not of the one value of the data.
        is_data = tf.math.reduce_std(y) < 0.1
        there = tf.scatter_nd([self._place], [1.0], tf.shape(y))
        return tf.where(is_data, y + there, y)

    def _forward_log_det_jacobian(self, x):
        return tf.zeros(tf.shape(x)[:-3])


class Unequal(nvp.FusedBijector):
    """The identity; the log-determinants of the two ways do not add up to 0."""

    def __init__(self, sum_of_both):
        super().__init__(event_ndims=1, parameters={"sum_of_both": sum_of_both})
        self._sum = sum_of_both

    def _forward_and_log_det(self, x, **kwargs):
        return tf.identity(x), tf.fill(tf.shape(x)[:1], self._sum)

    def _inverse_and_log_det(self, y, **kwargs):
        return tf.identity(y), tf.zeros(tf.shape(y)[:1])


def test_wrong_running_statistics_are_a_gap(model):
    moments = model.flow.bijector.bijectors[1].body.bijectors[1].moments
    moments.moving_mean.assign(moments.moving_mean + 3)
    report = nvp.flow_health(model, IMAGES)
    finding = only(report, "statistics gap")
    assert finding.value == report.gap > finding.threshold == 0.1
    assert finding.is_grave and report.verdict == "not to be trusted"
    assert "running statistics are +" in str(finding)


def test_a_small_gap_leaves_the_flow_usable(model):
    moments = model.flow.bijector.bijectors[1].body.bijectors[1].moments
    moments.moving_mean.assign(moments.moving_mean + 0.7)
    report = nvp.flow_health(model, IMAGES)
    assert 0.1 < report.gap < 1 and report.verdict == "usable, but"


def test_what_does_not_invert_is_not_to_be_trusted():
    base = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    flow = tfd.TransformedDistribution(base, Rounded(0.5))
    x = np.zeros([40, 2], np.float32)
    x[:, 1] = np.linspace(-2, 2, 40)
    x[7, 0] = 0.24
    report = nvp.flow_health(flow, x)
    assert report.worst[0].index == (7, 0)
    np.testing.assert_allclose(report.worst[0].error, 0.24)
    finding = only(report, "round trip of data")
    assert finding.is_grave and "worst in example 7, entry 0" in finding.where
    np.testing.assert_allclose(finding.value, 1 / 80)
    on_samples = only(report, "round trip of samples")
    assert 0.4 < on_samples.value < 0.5
    assert str(report).count("To do: ") == 2
    assert report.couplings == () and report.gap == 0


def test_one_wrong_pixel_in_many_leaves_the_flow_usable():
    base = tfd.Independent(tfd.Normal(tf.zeros([16, 16, 4]), 1.0), 3)
    bijector = nvp.FusedChain([nvp.PixelLogit(), Spoiled(3, 5, 7, 2)])
    flow = tfd.TransformedDistribution(base, bijector)
    images = np.full([4, 16, 16, 4], 128, np.uint8)
    report = nvp.flow_health(flow, images)
    assert report.worst[0].index == (3, 5, 7, 2) and report.data.wrong_share == 1 / 4096
    assert kinds(report) == {"round trip of data"}
    assert report.verdict == "usable, but"
    assert "image 3, row 5, column 7, channel 2" in str(report)


@pytest.mark.parametrize(
    ("bits", "verdict"),
    [(0.001, "healthy"), (-0.05, "usable, but"), (0.5, "not to be trusted")],
)
def test_log_determinants_that_do_not_add_up_are_a_drift(bits, verdict):
    base = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    nats = float(bits * 2 * np.log(2))
    flow = tfd.TransformedDistribution(base, Unequal(nats))
    report = nvp.flow_health(flow, np.random.default_rng(0).normal(size=[9, 2]))
    np.testing.assert_allclose(report.log_det_drift.max, abs(nats), rtol=1e-5)
    np.testing.assert_allclose(report.log_det_drift_bits_per_dim, abs(bits), rtol=1e-5)
    assert report.verdict == verdict
    if verdict != "healthy":
        assert only(report, "log-det drift").threshold == 0.01


def test_nan_in_a_weight_is_named_and_ends_all_trust(model):
    conv = couplings(model)[0].network.network.conv_in
    conv.direction.assign(conv.direction * np.nan)
    report = nvp.flow_health(model, IMAGES)
    assert report.verdict == "not to be trusted"
    finding = only(report, "non-finite weights")
    assert finding.where == f"{CHAIN}.bijectors[0].network.network.conv_in.direction"
    assert only(report, "non-finite log_prob").value == 32
    assert report.data.wrong_share == 1 and np.isnan(report.log_det_drift.max)
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["log_det_drift"]["max"] is None
    assert found["log_det_drift"]["non_finite"] == 32
