import types

import numpy as np
import pytest
import tensorflow as tf
from example import is_png, load_example, run_main

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageSplit

# One worker trains the run for all.
pytestmark = pytest.mark.xdist_group("digits_run")


@pytest.fixture
def anomaly_detection(sibling_examples):
    return load_example("anomaly_detection")


def test_auc_is_the_share_of_pairs_in_the_right_order(anomaly_detection):
    random = np.random.default_rng(0)
    training, own, other = random.normal([[3], [3], [4]], 1, size=[3, 57])
    found = anomaly_detection.aucs(training, own, other)
    assert found["-log p"] == pytest.approx(np.mean(own[:, None] < other))
    far, farther = (np.abs(bits - training.mean()) for bits in (own, other))
    assert found["typicality"] == pytest.approx(np.mean(far[:, None] < farther))


def test_typicality_finds_images_that_are_likelier_than_those_learnt(anomaly_detection):
    random = np.random.default_rng(0)
    training, own = random.normal(3, 0.1, size=[2, 200])
    found = anomaly_detection.aucs(training, own, random.normal(2, 0.1, size=200))
    assert found["-log p"] < 0.01
    assert found["typicality"] > 0.99


def test_groups_tell_what_single_images_do_not(anomaly_detection):
    random = np.random.default_rng(0)
    training, own = random.normal(3, 0.5, size=[2, 500])
    found = anomaly_detection.aucs(training, own, random.normal(2.5, 0.5, size=500))
    assert found["typicality"] < 0.8
    assert found[f"typicality of {anomaly_detection.GROUP}"] > 0.95


def test_images_are_converted_to_other_sizes_and_colours(anomaly_detection):
    images = np.random.default_rng(0).integers(0, 256, [2, 16, 16, 3], np.uint8)
    grey = anomaly_detection.converted(images, (8, 8, 1)).numpy()
    blocks = images.reshape(2, 8, 2, 8, 2, 3).mean(axis=(2, 4, 5))[..., None]
    assert grey.dtype == np.uint8
    assert np.abs(grey - blocks).max() <= 0.5 + 1e-3
    back = anomaly_detection.converted(grey, (16, 16, 3)).numpy()
    assert np.array_equal(back, np.repeat(grey.repeat(2, 1).repeat(2, 2), 3, axis=-1))


def test_density_under_a_conditional_flow_is_the_mean_over_its_classes(
    anomaly_detection,
):
    flow = nvp.image_flow(
        event_shape=(8, 8, 1), num_scales=1, filters=4, num_blocks=1, condition_size=3
    )
    noise = np.random.default_rng(0)
    for variable in flow.trainable_variables:
        variable.assign_add(0.1 * noise.normal(size=variable.shape))
    images = noise.integers(0, 256, [5, 8, 8, 1], np.uint8)
    split = ImageSplit.from_array(images)
    bits = anomaly_detection.bits_of(flow, split, 5)
    pixels = images + np.random.default_rng(0).random(images.shape, np.float32)
    log_probs = [
        flow.log_prob(pixels, bijector_kwargs={"condition": tf.fill([5], label)})
        for label in range(3)
    ]
    expected = tf.reduce_logsumexp(log_probs, axis=0) - np.log(3)
    np.testing.assert_allclose(
        bits, nvp.bits_per_dim(expected, flow.event_shape), rtol=1e-5
    )
    assert np.ptp(log_probs, axis=0).min() > 1e-2


def test_run_on_digits_tells_photographs_from_digits(
    sibling_examples, digits_run, tmp_path, monkeypatch, capsys
):
    output = tmp_path / "anomalies.png"
    options = {"run": digits_run, "against": "photos", "images": 60}
    run_main("anomaly_detection", monkeypatch, output, **options)
    printed = capsys.readouterr().out
    assert "typicality of 10 1.000" in printed
    assert is_png(output)


def test_flow_conditioned_on_attributes_is_refused(
    anomaly_detection, monkeypatch, tmp_path, capsys
):
    attributes = ImageSplit.from_array(
        np.zeros([4, 8, 8, 1], np.uint8), np.zeros([4, 40], np.float32)
    )
    data = types.SimpleNamespace(test=attributes)
    monkeypatch.setattr(anomaly_detection, "load_run", lambda *_: (None, data))
    monkeypatch.setattr("sys.argv", ["anomaly_detection", f"--run={tmp_path}"])
    with pytest.raises(SystemExit):
        anomaly_detection.main()
    assert "--run: expected a flow conditioned on classes" in capsys.readouterr().err


def test_anomaly_example_has_two_flows_score_each_others_images(
    anomaly_detection, tmp_path, monkeypatch, capsys
):
    learnt = []

    def train_small(data, epochs, seed, convert):
        images = convert(data.train.take(2))
        assert images.shape == (2, 8, 8, 1) and images.dtype == tf.uint8
        learnt.append((data.name, epochs, seed))
        return nvp.image_flow(event_shape=(8, 8, 1), filters=4, num_blocks=1)

    monkeypatch.setattr(anomaly_detection, "train_small", train_small)
    output = tmp_path / "anomalies.png"
    arguments = [f"--output={output}", "--epochs=3", "--seed=5", "--images=20"]
    monkeypatch.setattr("sys.argv", ["anomaly_detection", *arguments])
    anomaly_detection.main()
    assert learnt == [("digits", 3, 5), ("photos", 3, 5)]
    printed = capsys.readouterr().out
    assert "A flow of digits" in printed and "A flow of photos" in printed
    assert is_png(output)
