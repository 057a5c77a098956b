import numpy as np
import pytest
import tensorflow as tf
from example import is_png, load_example, run_main

joint_distribution = load_example("joint_distribution")


@pytest.fixture(scope="module")
def joint():
    prior = joint_distribution.fit_prior(epochs=4, seed=0)
    return joint_distribution.joint_distribution(prior)


def test_hmc_and_the_grid_agree_on_the_posterior(joint):
    chains, errors = joint_distribution.hmc_posterior(joint, draws=1000, seed=0)
    _, means, deviations = joint_distribution.grid_posterior(joint)
    difference = np.abs(chains.mean(axis=(0, 1)) - means)
    assert np.all(difference < 5 * errors)
    assert np.all(errors < 0.03 * deviations)
    np.testing.assert_allclose(chains.std(axis=(0, 1)), deviations, rtol=0.1)


def test_grid_holds_the_whole_posterior(joint):
    probability, _, _ = joint_distribution.grid_posterior(joint)
    for axis in range(3):
        sides = [np.take(probability, side, axis).sum() for side in (0, -1)]
        assert max(sides) < 1e-4


def test_log_prob_of_the_joint_is_the_sum_over_its_parts(joint):
    sample = joint.sample(7, seed=(0, 0))
    parts = joint.log_prob_parts(sample)
    np.testing.assert_allclose(
        joint.log_prob(sample), tf.add_n(list(parts.values())), rtol=1e-5
    )
    np.testing.assert_allclose(
        parts["position"],
        joint.model["position"].log_prob(tf.identity(sample["position"])),
        rtol=1e-3,
        atol=1e-3,
    )


def test_weights_of_the_prior_are_those_of_the_joint(joint):
    weights = joint.model["position"].trainable_variables
    assert {id(w) for w in joint.trainable_variables} == {id(w) for w in weights}


def test_joint_example_writes_its_picture(tmp_path, monkeypatch, capsys):
    output = tmp_path / "joint.png"
    run_main("joint_distribution", monkeypatch, output, epochs=1, draws=50)
    assert "offset: HMC" in capsys.readouterr().out
    assert is_png(output)
