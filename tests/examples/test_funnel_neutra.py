import numpy as np
import pytest
from example import is_png, load_example, run_main

# One worker makes the fixtures for all.
pytestmark = pytest.mark.xdist_group("funnel")

funnel_neutra = load_example("funnel_neutra")
funnel_neutra.LEAPFROG_STEPS = (4, 8)


@pytest.fixture(scope="module")
def runs():
    flow = funnel_neutra.fit_flow(steps=800, seed=0)
    return funnel_neutra.compare(flow, draws=1000, seed=0)


def test_neutra_gives_three_times_the_effective_samples_per_gradient(runs):
    plain, neutra = (rates for _, rates in runs.values())
    assert neutra.min() > 3 * plain.min()
    assert neutra[0] > 3 * plain[0]


def test_neutra_gets_mean_and_width_of_the_neck_right(runs):
    chains, _ = runs["NeuTra"]
    neck = chains[..., 0]
    assert abs(neck.mean()) < 0.3
    assert 2.7 < neck.std() < 3.3


def test_both_samplers_draw_as_many_chains_of_as_many_draws(runs):
    shape = (1000, funnel_neutra.CHAINS, funnel_neutra.SIZE)
    assert [chains.shape for chains, _ in runs.values()] == [shape, shape]


def test_funnel_density_is_that_of_neal():
    x = np.random.default_rng(0).normal(size=(5, funnel_neutra.SIZE))
    neck, others = x[:, 0], x[:, 1:]
    expected = -0.5 * (neck / 3) ** 2 - np.log(3 * np.sqrt(2 * np.pi))
    expected -= (0.5 * others**2 * np.exp(-neck)[:, None]).sum(axis=1)
    expected -= others.shape[1] * (neck / 2 + 0.5 * np.log(2 * np.pi))
    actual = funnel_neutra.funnel_log_prob(x.astype(np.float32))
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_funnel_example_writes_its_picture(runs, tmp_path, monkeypatch, capsys):
    output, known = tmp_path / "funnel.png", {"fit_flow": None, "compare": runs}
    run_main("funnel_neutra", monkeypatch, output, instead=known, steps=2, draws=20)
    assert "NeuTra over HMC" in capsys.readouterr().out
    assert is_png(tmp_path / "funnel.png")
