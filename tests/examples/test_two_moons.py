import pytest
from example import is_png, load_example, run_main
from sklearn.mixture import GaussianMixture

two_moons = load_example("two_moons")

# Of the standardized arcs with normal noise, by numerical integration.
LOG_LIKELIHOOD_OF_THE_TRUTH = -1.834


@pytest.mark.parametrize("train", ["train_with_fit", "train_with_minimize"])
def test_flow_is_far_better_than_a_gaussian_but_not_than_the_truth(train):
    training, test = two_moons.load_moons(seed=0)
    flow = two_moons.make_flow(seed=0)
    getattr(two_moons, train)(flow, training, steps=400, seed=0)
    log_likelihood, error = two_moons.mean_and_error(flow.log_prob(test).numpy())
    assert log_likelihood > GaussianMixture().fit(training).score(test) + 0.5
    assert log_likelihood < LOG_LIKELIHOOD_OF_THE_TRUTH + 3 * error


def test_two_moons_example_writes_its_picture(tmp_path, monkeypatch, capsys):
    run_main("two_moons", monkeypatch, tmp_path / "moons.png", steps=20)
    assert "minimize: test log-likelihood" in capsys.readouterr().out
    assert is_png(tmp_path / "moons.png")
