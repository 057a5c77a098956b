import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import perturb

import tfp_realnvp as nvp
from tfp_realnvp.health.measures import RoundTrip, StatisticsGap, watched_couplings

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
    found = RoundTrip(flow).reconstruct(x)
    assert 0 < np.max(np.abs(found - x)) < 0.05
    again = flow.bijector.forward(tf.identity(flow.bijector.inverse(x)))
    np.testing.assert_allclose(found, again, atol=1e-3)


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
    round_trip, gap, x = RoundTrip(model.flow), StatisticsGap(model), IMAGES + 0.5
    first = round_trip.reconstruct(x), *gap.scores(IMAGES)
    count = len(calls)
    again = round_trip.reconstruct(x), *gap.scores(IMAGES)
    assert len(calls) == count > 0
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


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


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("batch_norm", ["batch", "moving"])
def test_measuring_the_gap_leaves_the_model_as_it_was(batch_norm, fails):
    model = image_model(batch_norm=batch_norm)
    state = [*model.non_trainable_state, *model.trainable_variables]
    before = [v.numpy() for v in state]
    to_units, calls = model.to_units, []

    def failing(log_prob):
        # The second pass is the one in training; by now it has moved the averages.
        calls.append(log_prob)
        if fails and len(calls) == 2:
            raise KeyError
        return to_units(log_prob)

    model.to_units = failing
    gap = StatisticsGap(model, run_eagerly=True)
    if fails:
        with pytest.raises(KeyError):
            gap.scores(IMAGES)
    else:
        gap.scores(IMAGES)
    assert len(calls) == 2
    for variable, value in zip(state, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_vectors_are_measured_in_nats_and_conditions_are_passed_on():
    bijector = nvp.RealNVPBijector((2,), batch_norm="batch", condition_size=3)
    perturb(bijector)
    flow = tfd.TransformedDistribution(tfd.MultivariateNormalDiag([0.0, 0.0]), bijector)
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=[32, 2]), rng.integers(0, 3, 32)
    running, batch = StatisticsGap(nvp.FlowModel(flow)).scores(x, labels)
    log_prob = flow.log_prob(x.astype("float32"), bijector_kwargs={"condition": labels})
    np.testing.assert_allclose(running, -log_prob, rtol=1e-4, atol=1e-4)
    assert running.mean() != batch.mean()
    found = RoundTrip(flow).reconstruct(x, labels)
    np.testing.assert_allclose(found, x, atol=1e-3)


def test_a_watch_ends_also_when_what_is_watched_fails():
    flow = image_model().flow
    coupling = flow.bijector.bijectors[1].body.bijectors[0]
    with pytest.raises(RuntimeError), watched_couplings(flow):
        assert "_shift_and_log_scale" in vars(coupling)
        raise RuntimeError
    assert "_shift_and_log_scale" not in vars(coupling)
