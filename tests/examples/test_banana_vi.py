import numpy as np
import pytest
from example import is_png, load_example, run_main

# One worker makes the fixtures for all.
pytestmark = pytest.mark.xdist_group("banana")

banana_vi = load_example("banana_vi")


@pytest.fixture(scope="module")
def surrogates():
    return banana_vi.fit_both(steps=600, seed=0)


def test_log_evidence_of_the_banana_is_what_it_says():
    x1 = np.linspace(-10, 10, 1001)
    x2 = np.linspace(-6, 50, 2801)
    grid = np.stack(np.meshgrid(x1, x2), axis=-1).astype(np.float32)
    density = np.exp(banana_vi.banana_log_prob(grid).numpy().astype(float))
    evidence = density.sum() * (x1[1] - x1[0]) * (x2[1] - x2[0])
    assert np.log(evidence) == pytest.approx(banana_vi.LOG_EVIDENCE, abs=1e-3)


def test_flow_beats_the_mean_field_elbo_on_the_banana(surrogates):
    flow, mean_field = (
        banana_vi.elbo(surrogates[name], seed=0) for name in ("Real NVP", "Mean field")
    )
    assert flow[0] - mean_field[0] > 0.6
    assert flow[1] < 0.01
    assert mean_field[1] < 0.01


def test_elbo_of_the_flow_is_close_to_the_log_evidence_and_not_above(surrogates):
    value, error = banana_vi.elbo(surrogates["Real NVP"], seed=0)
    assert -0.15 < value - banana_vi.LOG_EVIDENCE < 3 * error


def test_elbo_estimates_repeat_with_their_seed(surrogates):
    flow = surrogates["Real NVP"]
    assert banana_vi.elbo(flow, seed=1) == banana_vi.elbo(flow, seed=1)
    assert banana_vi.elbo(flow, seed=1) != banana_vi.elbo(flow, seed=2)


def test_banana_example_writes_its_picture(tmp_path, monkeypatch, capsys):
    run_main("banana_vi", monkeypatch, tmp_path / "banana.png", steps=2)
    assert "Margin of the Real NVP" in capsys.readouterr().out
    assert is_png(tmp_path / "banana.png")
