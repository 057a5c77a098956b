"""The examples over images: restoration, anomaly detection, the paper's flows."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from constructors import perturb
from example import is_png, load_example, run_main

import tfp_realnvp as nvp
from tfp_realnvp.data import load_images
from tfp_realnvp.figures import image_bits_per_dim, psnr, to_uint8

# One worker trains the flow for all.
pytestmark = pytest.mark.xdist_group("image_examples")

anomaly_detection = load_example("anomaly_detection")
restoration = load_example("restoration")
train_celeba = load_example("train_celeba")


@pytest.fixture(scope="module")
def restorer():
    keras.utils.set_random_seed(0)
    data, flow = load_images("digits"), nvp.image_flow("digits", filters=16, seed=0)
    model = nvp.FlowModel(flow, seed=0)
    model.compile(keras.optimizers.Adam(2e-3, global_clipnorm=100.0))
    batches, steps = data.training_batches(64, seed=0), data.steps_per_epoch(64)
    model.fit(batches, steps_per_epoch=steps, epochs=6, verbose=0)
    return restoration.Restorer(flow, data.test.take(24))


def scores(restorer, images):
    bits = image_bits_per_dim(restorer.flow, images)
    return psnr(images, restorer.images).mean(), bits


def test_missing_pixels_come_back_better_than_by_averages_and_likelier(restorer):
    known = restoration.make_mask("scattered", restorer.images.shape, seed=0)
    assert known.mean() == pytest.approx(1 - restoration.MISSING, abs=0.05)
    rows = restoration.inpaint(restorer, known, steps=60)
    neighbours, flow = (scores(restorer, row) for row in rows.values())
    assert flow[0] > neighbours[0] + 1
    assert np.all(flow[1] < neighbours[1])
    known = np.broadcast_to(known, restorer.images.shape)
    assert np.array_equal(rows["flow"][known], restorer.images[known])


def test_either_mode_is_nearer_to_the_originals_than_a_filter_and_likelier(restorer):
    noise = np.random.default_rng(0).normal(size=restorer.images.shape)
    noisy = restorer.images + 0.5 + 50 * noise
    rows = restoration.denoise(restorer, noisy, 50, steps=60)
    filtered, *modes = (scores(restorer, row) for row in rows.values())
    before = scores(restorer, to_uint8(noisy))
    for mode in modes:
        assert mode[0] > max(filtered[0] + 1, before[0] + 2)
        assert np.all(mode[1] < before[1])


def test_restorer_passes_the_conditions_of_the_images_on():
    sizes = {"num_scales": 1, "filters": 4, "num_blocks": 1, "condition_size": 3}
    flow = nvp.image_flow(event_shape=(8, 8, 1), seed=0, **sizes)
    perturb(flow)
    images = np.random.default_rng(0).integers(0, 256, [2, 8, 8, 1], np.uint8)
    pixels = images.astype("float32") + 0.5
    one, other = (
        restoration.Restorer(flow, images, np.array(labels))
        for labels in ([0, 1], [2, 1])
    )
    difference = np.abs(one.encode(pixels) - other.encode(pixels)).max(axis=(1, 2, 3))
    assert difference[0] > 1e-3 and difference[1] == 0
    np.testing.assert_allclose(one.decode(one.encode(pixels)), pixels, atol=0.01)
    assert abs((one.log_prob(pixels) - other.log_prob(pixels))[0]) > 1e-3


@pytest.mark.parametrize("task", ["inpainting", "denoising"])
def test_restoration_writes_its_picture(restorer, task, tmp_path, monkeypatch, capsys):
    output = tmp_path / "restored.png"
    loaded = restoration.Restorer(restorer.flow, restorer.images[:4])
    argv = ["restoration", task, "--steps=2", f"--output={output}"]
    monkeypatch.setattr("sys.argv", argv)
    monkeypatch.setattr(restoration, "load", lambda arguments: loaded)
    restoration.main()
    assert "flow" in capsys.readouterr().out
    assert is_png(output)


def test_typicality_finds_images_that_are_likelier_than_those_learnt():
    random = np.random.default_rng(0)
    training, own = random.normal(3, 0.1, size=[2, 200])
    found = anomaly_detection.aucs(training, own, random.normal(2, 0.1, size=200))
    assert found["-log p"] < 0.01
    assert found["typicality"] > 0.99


def test_anomaly_example_writes_its_picture(tmp_path, monkeypatch, capsys):
    flow = nvp.image_flow(event_shape=(8, 8, 1), filters=4, num_blocks=1)
    output, learnt = tmp_path / "anomalies.png", {"learn": flow}
    run_main("anomaly_detection", monkeypatch, output, instead=learnt, images=20)
    printed = capsys.readouterr().out
    assert "A flow of digits" in printed and "A flow of photos" in printed
    assert is_png(output)


def test_the_papers_flow_goes_from_made_up_images_to_a_saved_model(
    tmp_path, monkeypatch, capsys
):
    output = tmp_path / "run"
    monkeypatch.setattr("sys.argv", ["train_celeba", "--smoke", f"--output={output}"])
    train_celeba.main()
    printed = capsys.readouterr().out
    assert "Trained on made-up images, not celeb_a." in printed
    summary = json.loads((output / "summary.json").read_text())
    assert (summary["epochs"], summary["steps"]) == (2, 8)
    assert is_png(output / "samples.png")
    assert "sample" in tf.saved_model.load(output / "saved_model").signatures


def test_without_its_data_the_example_says_where_they_are_had(tmp_path, monkeypatch):
    options = [f"--data-dir={tmp_path}", f"--output={tmp_path}/run"]
    monkeypatch.setattr("sys.argv", ["train_celeba", "--dataset=lsun_tower", *options])
    with pytest.raises(FileNotFoundError, match=r"--data-dir.*(python -c|unzip)"):
        train_celeba.main()
    assert not list(tmp_path.iterdir())
