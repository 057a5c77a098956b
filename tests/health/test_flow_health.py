import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import perturb

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageSplit
from tfp_realnvp.health.monitors import StatisticsGap
from tfp_realnvp.health.network_health import watched_couplings

tfb = tfp.bijectors
tfd = tfp.distributions

IMAGES = np.random.default_rng(0).integers(0, 256, [32, 4, 4, 2], np.uint8)
SMALL = {"event_shape": (4, 4, 2), "filters": 4, "num_blocks": 1}
CHAIN = "flow.bijector.bijectors[1].body"


def image_model(**sizes):
    return nvp.FlowModel(nvp.image_flow(**{**SMALL, **sizes}, seed=0), seed=0)


@pytest.fixture(scope="module")
def fitted_model():
    """Statistics are those of the data, weights those a flow begins with."""
    model = image_model(momentum=0.0)
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
    return [b for b in body.bijectors if is_coupling(b)]


def is_coupling(bijector):
    return isinstance(bijector, nvp.AffineCoupling)


def kinds(report):
    return {finding.kind for finding in report.findings}


def only(report, kind):
    (finding,) = [f for f in report.findings if f.kind == kind]
    return finding


def test_a_healthy_flow_is_called_healthy(model):
    report = nvp.flow_health(model, IMAGES)
    assert report.verdict == "healthy" and report.findings == ()
    assert str(report).endswith(
        "Verdict: healthy. All figures are within their thresholds."
    )
    assert 0 < report.data.errors.max < 0.01 and report.data.tolerance == 0.5
    assert len(report.samples) == 2
    assert all(0 < trip.errors.max < 1e-3 for trip in report.samples)
    assert 0 < report.log_det_drift.max < 0.01
    assert len(report.couplings) == 10
    # A block activates twice, the network once more at its end.
    assert [c.channels for c in report.couplings] == [12] * 3 + [24] * 7
    assert (report.count, report.batch_size, report.dtype) == (32, 32, "float32")


def test_the_model_is_left_as_it_was(model):
    before = [v.numpy() for v in (*model.weights, *model.noise_states)]
    nvp.flow_health(model, IMAGES)
    after = [v.numpy() for v in (*model.weights, *model.noise_states)]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert "_shift_and_log_scale" not in vars(couplings(model)[0])
    assert "call" not in vars(couplings(model)[0].network.network.conv_out)


def test_the_scores_are_those_of_the_model_and_the_gap_that_of_its_batches():
    model = image_model(num_scales=1)
    x = IMAGES + np.float32(0.5)
    report = nvp.flow_health(model, x)
    expected = model.to_units(model(x)).numpy().mean()
    np.testing.assert_allclose(report.score_by_running, expected, rtol=1e-5)
    running, batch = StatisticsGap(model).scores(x)
    gap = running.mean() - batch.mean()
    np.testing.assert_allclose(report.gap, gap, rtol=1e-3)
    assert abs(gap) > 1e-3


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


def test_the_report_is_plain_json(model):
    norm = couplings(model)[0].network.network.blocks[0].norm_out
    norm.moments.moving_variance.assign([0.0, 1, 1, 1])
    norm.scale.assign([0.0, 1, 1, 1])
    report = nvp.flow_health(model, IMAGES)
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["verdict"] == "usable, but"
    assert found["findings"][0]["text"] == str(report.findings[0])
    assert found["couplings"][0]["channels"] == 12
    assert found["samples"][0]["errors"]["max"] == report.samples[0].errors.max
    assert found["worst"][0]["index"] == list(report.worst[0].index)


@pytest.mark.parametrize("memory", ["stored", "reversible"])
def test_conditional_flows_are_given_the_conditions_of_the_data(memory):
    sizes = {**SMALL, "num_scales": 1}
    flow = nvp.image_flow(**sizes, condition_size=3, memory=memory, seed=0)
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
    base = tfd.MultivariateNormalDiag(tf.zeros(3), tf.ones(3))
    bijector = nvp.RealNVPBijector(
        (3,), hidden_units=(32, 32), residual=residual, activation="relu", seed=0
    )
    flow = tfd.TransformedDistribution(base, bijector)
    hidden = bijector.body.bijectors[0].network.network.hidden[0]
    hidden.bias.assign([-100.0] * 2 + [0.0] * 30)
    report = nvp.flow_health(flow, np.random.default_rng(0).normal(size=[64, 3]))
    assert report.units == "nats" and report.verdict == "healthy"
    assert report.couplings[0].dead_channels >= 2
    assert report.couplings[0].channels == 64


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


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        (IMAGES[:, :2], {}, ValueError, r"data: expected batches of shape \(N, 4, 4"),
        (IMAGES[:0], {}, ValueError, "data: expected examples, got none"),
        ("test", {}, ValueError, "data: expected an array, .* got 'test'"),
        (IMAGES, {"limit": 0}, ValueError, "limit: expected a positive int, got 0"),
        (IMAGES, {"batch_size": 0}, ValueError, "batch_size: expected a positive int"),
        (IMAGES, {"seed": -1}, ValueError, "seed: expected 0 or more, got -1"),
        (IMAGES, {"condition": [0] * 32}, ValueError, "condition: expected None"),
        (IMAGES - 10.0, {}, ValueError, r"data: expected pixels in \[0, 256\)"),
    ],
)
def test_bad_arguments_are_refused(model, data, options, error, message):
    with pytest.raises(error, match=message):
        nvp.flow_health(model, data, **options)


def test_what_is_no_flow_is_refused():
    for value in (tfd.Normal(0.0, 1.0), nvp.FlowModel(tfd.Normal([0.0], 1.0)), "flow"):
        with pytest.raises(TypeError, match="model: expected a FlowModel of a"):
            nvp.flow_health(value, IMAGES)
