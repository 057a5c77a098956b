import numpy as np
import tensorflow as tf
from example import is_png, load_example, run_main
from sklearn.mixture import GaussianMixture

mixture_of_flows = load_example("mixture_of_flows")


def test_mixture_finds_the_parts_and_their_shares():
    points, is_ring = mixture_of_flows.ring_and_arc(6000, seed=0)
    training, test = np.split(points, [4000])
    mixture = mixture_of_flows.make_mixture(seed=0)
    mixture_of_flows.train(mixture, training, epochs=30, seed=0)
    gaussians = GaussianMixture(2, random_state=0).fit(training)
    assert np.mean(mixture.log_prob(test)) > gaussians.score(test) + 0.3
    weights = tf.nn.softmax(mixture.cat.logits)
    np.testing.assert_allclose(weights[0], is_ring.mean(), atol=0.03)
    is_of_first = mixture_of_flows.responsibilities(mixture, test)[:, 0] > 0.5
    assert np.mean(is_of_first == is_ring[4000:]) > 0.99


def test_single_flow_has_as_many_weights_as_the_mixture():
    one, two = (
        sum(v.shape.num_elements() for v in make(seed=0).trainable_variables)
        for make in (mixture_of_flows.make_single_flow, mixture_of_flows.make_mixture)
    )
    assert abs(one / two - 1) < 0.02


def test_mixture_example_writes_its_picture(tmp_path, monkeypatch, capsys):
    output = tmp_path / "mixture.png"
    run_main("mixture_of_flows", monkeypatch, output, instead={"train": None})
    assert "one flow: test log-likelihood" in capsys.readouterr().out
    assert is_png(tmp_path / "mixture.png")
