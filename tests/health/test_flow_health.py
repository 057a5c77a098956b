import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import perturb

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageSplit
from tfp_realnvp.health import measures

tfb = tfp.bijectors
tfd = tfp.distributions

IMAGES = np.random.default_rng(0).integers(0, 256, [32, 4, 4, 2], np.uint8)
SMALL = {"event_shape": (4, 4, 2), "filters": 4, "num_blocks": 1}
CHAIN = "flow.bijector.bijectors[1].body"


@pytest.fixture(scope="module")
def fitted_model():
    """Statistics are those of the data, weights those a flow begins with."""
    model = nvp.FlowModel(nvp.image_flow(**SMALL, momentum=0.0, seed=0), seed=0)
    model(tf.constant(IMAGES), training=True)
    return model


@pytest.fixture
def model(fitted_model):
    """The fitted model, which gets back what a test spoils."""
    values = [weight.numpy() for weight in fitted_model.weights]
    yield fitted_model
    for weight, value in zip(fitted_model.weights, values, strict=True):
        weight.assign(value)


def couplings(model):
    body = model.flow.bijector.bijectors[1].body
    return [b for b in body.bijectors if isinstance(b, nvp.AffineCoupling)]


def kill_channels(model, coupling, *dead):
    """Makes channels 0 after the first normalization of a coupling's network."""
    norm = couplings(model)[coupling].network.network.blocks[0].norm_in
    is_dead = np.isin(np.arange(4), dead).astype(np.float32)
    norm.scale.assign(1 - is_dead)
    norm.offset.assign(-is_dead)


def standard_normal(size):
    return tfd.MultivariateNormalDiag(tf.zeros(size), tf.ones(size))


def only(report, kind):
    (finding,) = [f for f in report.findings if f.kind == kind]
    return finding


def test_a_healthy_flow_is_called_healthy_and_left_as_it_was(model):
    state = [*model.weights, *model.noise_states]
    before = [v.numpy() for v in state]
    report = nvp.flow_health(model, IMAGES)
    assert report.verdict == "healthy" and report.findings == ()
    assert str(report).endswith("healthy. All figures are within their thresholds.")
    assert 0 < report.data.errors.max < 0.01 and report.data.tolerance == 0.5
    assert len(report.samples) == 2
    assert all(0 < trip.errors.max < 1e-3 for trip in report.samples)
    assert 0 < report.log_det_drift.max < 0.01
    # A block activates twice, the network once more at its end.
    assert [c.channels for c in report.couplings] == [12] * 3 + [24] * 7
    assert (report.count, report.batch_size, report.dtype) == (32, 32, "float32")
    for variable, value in zip(state, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert "_shift_and_log_scale" not in vars(couplings(model)[0])


def test_the_scores_are_those_of_the_model_and_the_gap_that_of_its_batches():
    flow = nvp.image_flow(**SMALL, num_scales=1, seed=0)
    model, x = nvp.FlowModel(flow, seed=0), IMAGES + np.float32(0.5)
    report = nvp.flow_health(model, x)
    expected = model.to_units(model(x)).numpy().mean()
    np.testing.assert_allclose(report.score_by_running, expected, rtol=1e-5)
    running, batch = measures.scores_by_statistics(model)(tf.constant(x))
    gap = running.mean() - batch.mean()
    np.testing.assert_allclose(report.gap, gap, rtol=1e-3)
    assert abs(gap) > 1e-3


@pytest.mark.parametrize("memory", ["stored", "recompute"])
def test_conditional_flows_are_given_the_conditions_of_the_data(memory):
    options = {"condition_size": 3, "memory": memory, "num_scales": 1}
    flow = nvp.image_flow(**SMALL, **options, seed=0)
    perturb(flow)
    model = nvp.FlowModel(flow, seed=0)
    labels = np.random.default_rng(1).integers(0, 3, 32).astype(np.int32)
    given = nvp.flow_health(model, IMAGES, condition=labels, limit=24)
    split = ImageSplit.from_array(IMAGES, labels)
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, labels)).batch(7)
    for data in (split, pairs):
        assert nvp.flow_health(model, data, limit=24).to_dict() == given.to_dict()
    other = nvp.flow_health(model, IMAGES, condition=(labels + 1) % 3, limit=24)
    assert other.score_by_running != given.score_by_running
    assert given.count == 24 and all(c.channels for c in given.couplings)


@pytest.mark.parametrize("residual", [False, True])
def test_vectors_are_measured_in_nats(residual):
    bijector = nvp.RealNVPBijector(
        (3,), hidden_units=(32, 32), residual=residual, activation="relu", seed=0
    )
    flow = tfd.TransformedDistribution(standard_normal(3), bijector)
    hidden = bijector.body.bijectors[0].network.network.hidden[0]
    hidden.bias.assign([-100.0] * 2 + [0.0] * 30)
    report = nvp.flow_health(flow, np.random.default_rng(0).normal(size=[64, 3]))
    assert report.units == "nats" and report.verdict == "healthy"
    assert report.couplings[0].dead_channels >= 2
    assert report.couplings[0].channels == 64


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (IMAGES[:, :2], {}, r"data: expected batches of shape \(N, 4, 4"),
        ("test", {}, "data: expected an array, .* got 'test'"),
        (IMAGES, {"limit": 0}, "limit: expected a positive int, got 0"),
        (IMAGES, {"seed": -1}, "seed: expected 0 or more, got -1"),
        (IMAGES, {"condition": [0] * 32}, "condition: expected None"),
        (IMAGES - 10.0, {}, r"data: expected pixels in \[0, 256\)"),
    ],
)
def test_bad_arguments_are_refused(model, data, options, message):
    with pytest.raises(ValueError, match=message):
        nvp.flow_health(model, data, **options)


def test_what_is_no_flow_is_refused():
    for value in (nvp.FlowModel(tfd.Normal(0.0, 1.0)), "flow"):
        with pytest.raises(TypeError, match="model: expected a tfd.Tr"):
            nvp.flow_health(value, IMAGES)


def rounded():
    """The identity there; on the way back one entry is rounded to halves."""
    return tfb.Inline(
        lambda x: tf.concat([tf.round(2 * x[..., :1]) / 2, x[..., 1:]], -1),
        tf.identity,
        forward_log_det_jacobian_fn=lambda x: tf.zeros(tf.shape(x)[:-1]),
        forward_min_event_ndims=1,
    )


class Unequal(nvp.FusedBijector):
    """The identity; the log-determinants of the two ways do not add up to 0."""

    def __init__(self, sum_of_both):
        super().__init__(event_ndims=1, parameters={"sum_of_both": sum_of_both})
        self._sum = sum_of_both

    def _value_and_log_det(self, value, *, inverse, **kwargs):
        log_det = tf.fill(tf.shape(value)[:1], 0.0 if inverse else self._sum)
        return tf.identity(value), log_det


def test_wrong_running_statistics_are_a_gap(model):
    moments = model.flow.bijector.bijectors[1].body.bijectors[1].moments
    moments.moving_mean.assign(moments.moving_mean + 3)
    report = nvp.flow_health(model, IMAGES)
    finding = only(report, "statistics gap")
    assert finding.value == report.gap > finding.threshold == 0.1
    assert report.verdict == "not to be trusted"
    assert "running statistics are +" in str(finding)


def test_what_does_not_invert_is_not_to_be_trusted():
    flow = tfd.TransformedDistribution(standard_normal(2), rounded())
    x = np.zeros([40, 2], np.float32)
    x[:, 1] = np.linspace(-2, 2, 40)
    x[7, 0] = 0.24
    report = nvp.flow_health(flow, x)
    assert report.worst == (7, 0) and "example 7, entry 0" in str(report)
    np.testing.assert_allclose(report.data.errors.max, 0.24)
    finding = only(report, "round trip of data")
    assert finding.is_grave and "worst in example 7, entry 0" in finding.where
    np.testing.assert_allclose(finding.value, 1 / 80)
    on_samples = only(report, "round trip of samples")
    assert 0.4 < on_samples.value < 0.5
    assert str(report).count("To do: ") == 2
    assert report.couplings == () and report.gap == 0


def test_log_determinants_that_do_not_add_up_are_a_drift():
    flow = tfd.TransformedDistribution(standard_normal(2), Unequal(-0.2))
    report = nvp.flow_health(flow, np.random.default_rng(0).normal(size=[9, 2]))
    assert report.log_det_drift.max == pytest.approx(0.2)
    assert report.log_det_drift_bits_per_dim == pytest.approx(0.1 / np.log(2))
    assert only(report, "log-det drift").is_grave


def wrong(share):
    return measures.RoundTripHealth(measures.Errors(1.0, 0.1, 0.5, 0), 0.5, share)


@pytest.mark.parametrize(
    ("kind", "figures", "verdict"),
    [
        ("round trip of data", {"data": wrong(1 / 4096)}, "usable, but"),
        ("round trip of data", {"data": wrong(1 / 500)}, "not to be trusted"),
        ("round trip of samples", {"samples": (wrong(0.1),)}, "not to be trusted"),
        ("log-det drift", {"log_det_drift_bits_per_dim": 0.05}, "usable, but"),
        ("log-det drift", {"log_det_drift_bits_per_dim": np.nan}, "not to be trusted"),
        ("statistics gap", {"gap": -0.2}, "usable, but"),
        ("statistics gap", {"gap": 1.2}, "not to be trusted"),
        ("non-finite log_prob", {"non_finite_log_probs": 1}, "not to be trusted"),
    ],
)
def test_what_is_beyond_a_threshold_is_said(model, kind, figures, verdict):
    report = dataclasses.replace(nvp.flow_health(model, IMAGES[:4]), gap=0.0)
    report = dataclasses.replace(report, **figures)
    assert [finding.kind for finding in report.findings] == [kind]
    assert report.verdict == verdict and f"Verdict: {verdict}:\n- " in str(report)


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
    drift = found["log_det_drift"]
    assert drift.pop("non_finite") == 32 and set(drift.values()) == {None}
    assert found["findings"][0]["text"] == str(report.findings[0])
    assert found["couplings"][0]["channels"] == 12


def test_scales_at_their_bound_are_named_with_their_coupling(model):
    head = couplings(model)[1].network
    head.gain.assign(1.0)
    # Of the log-scales alone, which come after the shifts.
    head.network.conv_out.magnitude.assign([0.0, 0.0, 1e4, 1e4])
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
    # Saturated in half of the channels alone, to and fro.
    head.network.conv_out.bias.assign([0.0] * 4 + [10.0, -10.0, 10.0, -10.0])
    head.gain.assign(9.0)
    report = nvp.flow_health(model, IMAGES)
    finding = only(report, "large log-scale")
    assert finding.where == f"{CHAIN}.bijectors[9]" == report.couplings[4].name
    assert 8.9 < finding.value <= 9 and 7.9 < finding.threshold < 8
    assert "of float32 are lost" in str(report)


def test_dead_channels_are_counted_where_they_are(model):
    kill_channels(model, 2, 0)
    report = nvp.flow_health(model, IMAGES)
    assert [c.dead_channels for c in report.couplings] == [0, 0, 1] + [0] * 7
    assert report.verdict == "healthy"
    kill_channels(model, 2, 0, 1, 2, 3)
    finding = only(nvp.flow_health(model, IMAGES), "dead channels")
    assert finding.where == f"{CHAIN}.bijectors[4].network"
    # Nothing goes into the first convolution, so its channels are constant, and dead
    # where the constant is negative.
    assert finding.value >= 4 / 12 and "of 12 hidden channels" in finding.what


def test_frozen_flows_are_looked_into_as_well(model):
    kill_channels(model, 1, 0, 3)
    report = nvp.flow_health(nvp.freeze(model.flow), IMAGES)
    assert [c.dead_channels for c in report.couplings] == [0, 2] + [0] * 8
    assert [c.channels for c in report.couplings] == [12] * 3 + [24] * 7
    assert report.gap == 0


def test_networks_of_another_make_are_not_looked_into():
    network = nvp.ShiftAndLogScale(keras.layers.Dense(4))
    coupling = nvp.AffineCoupling((4,), network, np.array([True, True, False, False]))
    flow = tfd.TransformedDistribution(standard_normal(4), coupling)
    report = nvp.flow_health(flow, np.random.default_rng(0).normal(size=[64, 4]))
    assert report.couplings[0].channels == 0
    assert "0 of 0" in str(report)
