import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import perturb

import tfp_realnvp as nvp
from tfp_realnvp.health.measures import (
    round_trip,
    scores_by_statistics,
    watched_couplings,
)

tfd = tfp.distributions

PIXELS = np.random.default_rng(0).uniform(0, 256, [16, 4, 4, 1]).astype(np.float32)


def image_model(**sizes):
    small = {"event_shape": (4, 4, 1), "num_scales": 1, "filters": 4, "num_blocks": 1}
    flow = nvp.image_flow(**small, **sizes, seed=0)
    perturb(flow)
    return nvp.FlowModel(flow, seed=0)


def test_round_trips_go_through_the_layers_and_not_through_the_cache():
    flow = image_model().flow
    found = round_trip(flow)(PIXELS)
    assert 0 < np.max(np.abs(found - PIXELS)) < 0.05
    again = flow.bijector.forward(tf.identity(flow.bijector.inverse(PIXELS)))
    np.testing.assert_allclose(found, again, atol=1e-3)
    with pytest.raises(TypeError, match=r"flow: expected .*, got Normal"):
        round_trip(tfd.Normal(0.0, 1.0))


def test_measuring_again_does_not_trace_anew(monkeypatch):
    model, calls = image_model(), []
    inverse = model.flow.bijector.inverse

    def counted(*args, **kwargs):
        calls.append(args)
        return inverse(*args, **kwargs)

    monkeypatch.setattr(model.flow.bijector, "inverse", counted)
    functions = round_trip(model.flow), scores_by_statistics(model)
    x = tf.constant(PIXELS)
    first, count = [f(x) for f in functions], len(calls)
    np.testing.assert_array_equal(functions[0](x), first[0])
    np.testing.assert_array_equal(functions[1](x), first[1])
    assert len(calls) == count > 0


def test_scores_are_those_of_two_evaluations_under_the_conditions():
    bijector = nvp.RealNVPBijector((2,), batch_norm="batch", condition_size=3)
    perturb(bijector)
    flow = tfd.TransformedDistribution(tfd.MultivariateNormalDiag([0.0, 0.0]), bijector)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=[32, 2]), tf.float32)
    labels = rng.integers(0, 3, 32)
    found = scores_by_statistics(nvp.FlowModel(flow))(x, labels)
    for training, scores in zip((False, True), found, strict=True):
        kwargs = {"condition": labels, "training": training}
        log_prob = flow.log_prob(tf.identity(x), bijector_kwargs=kwargs)
        np.testing.assert_allclose(scores, -log_prob, rtol=1e-4, atol=1e-4)
    assert abs(found[0].mean() - found[1].mean()) > 1e-3
    np.testing.assert_allclose(round_trip(flow)(x, labels), x, atol=1e-3)


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
    scores = scores_by_statistics(model, compiled=False)
    if fails:
        with pytest.raises(KeyError):
            scores(tf.constant(PIXELS))
    else:
        scores(tf.constant(PIXELS))
    assert len(calls) == 2
    for variable, value in zip(state, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_a_watch_ends_also_when_what_is_watched_fails():
    flow = image_model().flow
    coupling = flow.bijector.bijectors[1].body.bijectors[0]
    with pytest.raises(RuntimeError), watched_couplings(flow):
        assert "_shift_and_log_scale" in vars(coupling)
        raise RuntimeError
    assert "_shift_and_log_scale" not in vars(coupling)
