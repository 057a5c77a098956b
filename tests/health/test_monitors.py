import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import perturb

import tfp_realnvp as nvp
from tfp_realnvp.health.monitors import RoundTrip, StatisticsGap

tfb = tfp.bijectors
tfd = tfp.distributions

IMAGES = np.random.default_rng(0).integers(0, 256, [16, 4, 4, 1], np.uint8)


def image_model(**sizes):
    small = {"event_shape": (4, 4, 1), "num_scales": 1, "filters": 4, "num_blocks": 1}
    return nvp.FlowModel(nvp.image_flow(**{**small, **sizes}, seed=0), seed=0)


def test_round_trips_go_through_the_layers_and_not_through_the_cache():
    flow = image_model().flow
    perturb(flow)
    x = IMAGES + np.float32(0.5)
    error = RoundTrip(flow).error(x)
    assert 0 < error < 0.05
    again = flow.bijector.forward(tf.identity(flow.bijector.inverse(x)))
    np.testing.assert_allclose(error, np.max(np.abs(again - x)), atol=1e-3)


class Forgetful(tfb.Bijector):
    """Its inverse is off by 3 in one entry."""

    def __init__(self):
        super().__init__(forward_min_event_ndims=1)

    def _forward(self, x):
        return x

    def _inverse(self, y):
        return y - tf.constant([0.0, 3.0])

    def _forward_log_det_jacobian(self, x):
        return tf.zeros(x.shape[:-1])


def test_the_largest_error_counts():
    base = tfd.MultivariateNormalDiag([0.0, 0.0])
    flow = tfd.TransformedDistribution(base, Forgetful())
    assert RoundTrip(flow).error(np.ones([5, 2])) == 3


def test_flows_without_bijector_have_no_round_trip():
    with pytest.raises(TypeError, match=r"flow: expected .*, got Normal"):
        RoundTrip(tfd.Normal(0.0, 1.0))


def test_measuring_again_does_not_trace_anew(monkeypatch):
    model = image_model()
    calls = []
    inverse = model.flow.bijector.inverse

    def counted(*args, **kwargs):
        calls.append(args)
        return inverse(*args, **kwargs)

    monkeypatch.setattr(model.flow.bijector, "inverse", counted)
    round_trip, gap = RoundTrip(model.flow), StatisticsGap(model)
    first = round_trip.error(IMAGES + np.float32(0.5)), gap.scores(IMAGES)
    count = len(calls)
    again = round_trip.error(IMAGES + np.float32(0.5)), gap.scores(IMAGES)
    assert len(calls) == count > 0
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1], again[1])


def test_the_gap_is_that_between_two_evaluations_with_the_same_noise():
    model = image_model()
    running, batch = StatisticsGap(model).scores(IMAGES)
    noise = tf.random.stateless_uniform(IMAGES.shape, [0, 0])
    x = tf.cast(IMAGES, "float32") + noise
    for training, scores in ((False, running), (True, batch)):
        log_prob = model.flow.log_prob(x, bijector_kwargs={"training": training})
        expected = nvp.bits_per_dim(log_prob, (4, 4, 1))
        np.testing.assert_allclose(scores, expected, rtol=1e-4)
    assert abs(running.mean() - batch.mean()) > 1e-3


def test_without_batch_normalization_there_is_no_gap():
    running, batch = StatisticsGap(image_model(batch_norm=None)).scores(IMAGES)
    np.testing.assert_array_equal(running, batch)


@pytest.mark.parametrize("batch_norm", ["batch", "moving"])
def test_measuring_the_gap_leaves_the_model_as_it_was(batch_norm):
    model = image_model(batch_norm=batch_norm)
    state = [*model.non_trainable_state, *model.trainable_variables]
    before = [v.numpy() for v in state]
    StatisticsGap(model).scores(IMAGES)
    for variable, value in zip(state, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_a_failed_measurement_leaves_the_model_as_it_was():
    model = image_model()
    state = model.non_trainable_state
    before = [v.numpy() for v in state]
    to_units = model.to_units

    def failing(log_prob):
        # The second pass is the one in training; by now it has moved the averages.
        if failing.calls:
            tf.debugging.assert_less(log_prob, -1e9)
        failing.calls += 1
        return to_units(log_prob)

    failing.calls = 0
    model.to_units = failing
    with pytest.raises(tf.errors.InvalidArgumentError):
        StatisticsGap(model).scores(IMAGES)
    assert failing.calls == 2
    for variable, value in zip(state, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_vectors_are_measured_in_nats_and_conditions_are_passed_on():
    bijector = nvp.RealNVPBijector((2,), batch_norm="batch", condition_size=3)
    perturb(bijector)
    flow = tfd.TransformedDistribution(tfd.MultivariateNormalDiag([0.0, 0.0]), bijector)
    model = nvp.FlowModel(flow)
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=[32, 2]), rng.integers(0, 3, 32)
    running, _ = StatisticsGap(model).scores(x, labels)
    log_prob = flow.log_prob(x.astype("float32"), bijector_kwargs={"condition": labels})
    np.testing.assert_allclose(running, -log_prob, rtol=1e-4, atol=1e-4)
    running, batch = StatisticsGap(model).scores(x, labels)
    assert running.mean() != batch.mean()
    assert RoundTrip(flow).error(x, labels) < 1e-3
