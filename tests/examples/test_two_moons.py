import numpy as np
import pytest
from example import is_png, load_example, run_main
from sklearn.mixture import GaussianMixture

two_moons = load_example("two_moons")


@pytest.mark.parametrize("train", ["train_with_fit", "train_with_minimize"])
def test_flow_is_a_density_and_far_better_than_a_gaussian(train):
    training, test = two_moons.load_moons(seed=0)
    flow = two_moons.make_flow(seed=0)
    getattr(two_moons, train)(flow, training, steps=400, seed=0)
    log_likelihood, error = two_moons.mean_and_error(flow.log_prob(test).numpy())
    gaussian = GaussianMixture().fit(training)
    assert log_likelihood - 3 * error > gaussian.score(test) + 0.5
    axis, step = np.linspace(-5, 5, 501, dtype="float32", retstep=True)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    assert np.exp(flow.log_prob(grid)).sum() * step**2 == pytest.approx(1, abs=0.02)


def test_two_moons_example_writes_its_picture(tmp_path, monkeypatch, capsys):
    trained = {"train_with_fit": None, "train_with_minimize": None}
    run_main("two_moons", monkeypatch, tmp_path / "moons.png", instead=trained)
    assert "minimize: test log-likelihood" in capsys.readouterr().out
    assert is_png(tmp_path / "moons.png")
