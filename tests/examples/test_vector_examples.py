"""The examples over vectors."""

import numpy as np
import pytest
import tensorflow as tf
from example import is_png, load_example, run_main
from sklearn.mixture import GaussianMixture

# One worker makes the fixtures for all.
pytestmark = pytest.mark.xdist_group("vector_examples")

funnel_neutra = load_example("funnel_neutra")
funnel_neutra.LEAPFROG_STEPS = (4, 8)
joint_distribution = load_example("joint_distribution")
two_moons = load_example("two_moons")
vae_with_flows = load_example("vae_with_flows")


@pytest.mark.parametrize("train", ["train_with_fit", "train_with_minimize"])
def test_flow_over_two_moons_is_a_density_and_far_better_than_a_gaussian(train):
    training, test = two_moons.load_moons(seed=0)
    flow = two_moons.make_flow(seed=0)
    getattr(two_moons, train)(flow, training, steps=400, seed=0)
    log_likelihood, error = two_moons.mean_and_error(flow.log_prob(test).numpy())
    gaussian = GaussianMixture().fit(training)
    assert log_likelihood - 3 * error > gaussian.score(test) + 0.5
    axis, step = np.linspace(-5, 5, 501, dtype="float32", retstep=True)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    assert np.exp(flow.log_prob(grid)).sum() * step**2 == pytest.approx(1, abs=0.02)


@pytest.fixture(scope="module")
def runs():
    flow = funnel_neutra.fit_flow(steps=800, seed=0)
    return funnel_neutra.compare(flow, draws=1000, seed=0)


def test_neutra_gives_three_times_the_effective_samples_and_the_right_neck(runs):
    plain, neutra = (rates for _, rates in runs.values())
    assert neutra.min() > 3 * plain.min() and neutra[0] > 3 * plain[0]
    neck = runs["NeuTra"][0][..., 0]
    assert abs(neck.mean()) < 0.3 and 2.7 < neck.std() < 3.3


def test_funnel_density_is_that_of_neal():
    x = np.random.default_rng(0).normal(size=(5, funnel_neutra.SIZE))
    neck, others = x[:, 0], x[:, 1:]
    expected = -0.5 * (neck / 3) ** 2 - np.log(3 * np.sqrt(2 * np.pi))
    expected -= (0.5 * others**2 * np.exp(-neck)[:, None]).sum(axis=1)
    expected -= others.shape[1] * (neck / 2 + 0.5 * np.log(2 * np.pi))
    actual = funnel_neutra.funnel_log_prob(x.astype(np.float32))
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_hmc_and_the_grid_agree_on_the_posterior_of_the_joint():
    prior = joint_distribution.fit_prior(epochs=4, seed=0)
    joint = joint_distribution.joint_distribution(prior)
    chains, errors = joint_distribution.hmc_posterior(joint, draws=1000, seed=0)
    probability, means, deviations = joint_distribution.grid_posterior(joint)
    assert np.all(np.abs(chains.mean(axis=(0, 1)) - means) < 5 * errors)
    np.testing.assert_allclose(chains.std(axis=(0, 1)), deviations, rtol=0.1)
    for axis in range(3):
        sides = [np.take(probability, side, axis).sum() for side in (0, -1)]
        assert max(sides) < 1e-4
    sample = joint.sample(7, seed=(0, 0))
    parts = joint.log_prob_parts(sample)
    total = tf.add_n(list(parts.values()))
    np.testing.assert_allclose(joint.log_prob(sample), total, rtol=1e-5)
    weights = joint.model["position"].trainable_variables
    assert {id(w) for w in joint.trainable_variables} == {id(w) for w in weights}


@pytest.mark.parametrize("flows", [False, True])
def test_bound_of_a_vae_rises_far_above_the_likelihood_of_independent_pixels(flows):
    ink, test = vae_with_flows.load_ink(seed=0)
    vae = vae_with_flows.VAE(flows, seed=0)
    before = [v.numpy() for v in vae.trainable_variables]
    vae_with_flows.train(vae, ink, test, steps=400, seed=0)
    p = np.clip(ink.mean(axis=0), 1e-3, 1 - 1e-3)
    of_pixels = (test * np.log(p) + (1 - test) * np.log(1 - p)).sum(axis=1).mean()
    assert vae_with_flows.held_out_elbo(vae, test).mean() > of_pixels + 3
    for variable, value in zip(vae.trainable_variables, before, strict=True):
        assert np.any(variable.numpy() != value), variable.name


@pytest.mark.parametrize(
    ("name", "options", "known", "printed"),
    [
        ("joint_distribution", {"epochs": 1, "draws": 50}, (), "offset: HMC"),
        ("vae_with_flows", {"steps": 200}, (), "gain: test ELBO"),
        (
            "two_moons",
            {},
            ("train_with_fit", "train_with_minimize"),
            "minimize: test log-likelihood",
        ),
        ("funnel_neutra", {"steps": 2}, ("fit_flow", "compare"), "NeuTra over HMC"),
    ],
)
def test_example_writes_its_picture(
    name, options, known, printed, request, tmp_path, monkeypatch, capsys
):
    instead = dict.fromkeys(known)
    if "compare" in instead:
        instead["compare"] = request.getfixturevalue("runs")
    output = tmp_path / "picture.png"
    run_main(name, monkeypatch, output, instead=instead, **options)
    assert printed in capsys.readouterr().out
    assert is_png(output)
