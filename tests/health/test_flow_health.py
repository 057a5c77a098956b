import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import perturb
from health_subjects import (
    IMAGES,
    SMALL,
    couplings,
    image_model,
)

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageSplit
from tfp_realnvp.health.monitors import StatisticsGap

tfd = tfp.distributions


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


@pytest.mark.parametrize("memory", ["stored", "recompute"])
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
    for value in (tfd.Normal(0.0, 1.0), nvp.FlowModel(tfd.Normal(0.0, 1.0)), "flow"):
        with pytest.raises(TypeError, match="model: expected a FlowModel of a"):
            nvp.flow_health(value, IMAGES)
