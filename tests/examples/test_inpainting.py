import numpy as np
import pytest
from example import is_png, load_example, run_main

import tfp_realnvp as nvp
from tfp_realnvp.figures import image_bits_per_dim, psnr, to_uint8

# One worker trains the run for all.
pytestmark = pytest.mark.xdist_group("digits_run")


@pytest.fixture
def inpainting(sibling_examples):
    return load_example("inpainting")


@pytest.fixture
def restoration(sibling_examples):
    return load_example("restoration")


def make_restorer(restoration, run, count):
    flow, data = restoration.load_run(run, None)
    return restoration.Restorer(flow, data.test.take(count))


def test_missing_pixels_come_back_better_than_by_averages_and_likelier(
    inpainting, restoration, digits_run
):
    restorer = make_restorer(restoration, digits_run, 24)
    images = restorer.images
    known = inpainting.make_mask("scattered", images.shape, seed=0)
    mean = to_uint8(inpainting.mean_fill(images + 0.5, known))
    start = inpainting.neighbours_fill(images + 0.5, known)
    restored = inpainting.inpaint(restorer, images + 0.5, known, start, steps=60)
    by_neighbours = psnr(to_uint8(start), images).mean()
    assert psnr(restored, images).mean() > by_neighbours + 1
    assert by_neighbours > psnr(mean, images).mean()
    assert np.array_equal(restored[known], images[known])
    bits = [image_bits_per_dim(restorer.flow, x) for x in (to_uint8(start), restored)]
    assert np.all(bits[1] < bits[0])


def test_masks_leave_the_share_of_pixels_known_that_they_should(inpainting):
    shape = (50, 16, 16, 3)
    scattered = inpainting.make_mask("scattered", shape, seed=0)
    block = inpainting.make_mask("block", shape, seed=0)
    assert scattered.shape == block.shape == (50, 16, 16, 1)
    assert scattered.mean() == pytest.approx(1 - inpainting.MISSING, abs=0.02)
    assert np.any(scattered[0] != scattered[1])
    assert block.mean() == 0.75
    assert not block[:, 4:12, 4:12].any()


def test_neighbours_fill_a_ramp_without_error(inpainting):
    row = np.arange(16.0)
    ramp = np.broadcast_to(3 * row[:, None, None] + 2 * row[:, None], (1, 16, 16, 1))
    known = inpainting.make_mask("block", ramp.shape, seed=0)
    filled = inpainting.neighbours_fill(np.where(known, ramp, 99), known)
    np.testing.assert_allclose(filled, ramp, atol=1e-6)
    assert not np.allclose(inpainting.mean_fill(ramp, known), ramp, atol=1)


def test_restorer_passes_the_conditions_of_the_images_on(restoration):
    flow = nvp.image_flow(
        event_shape=(8, 8, 1), num_scales=1, filters=4, num_blocks=1, condition_size=3
    )
    noise = np.random.default_rng(0)
    for variable in flow.trainable_variables:
        variable.assign_add(0.1 * noise.normal(size=variable.shape))
    images = noise.integers(0, 256, [2, 8, 8, 1], np.uint8)
    pixels = images.astype("float32") + 0.5
    one, other = (
        restoration.Restorer(flow, images, np.array(labels))
        for labels in ([0, 1], [2, 1])
    )
    difference = np.abs(one.encode(pixels) - other.encode(pixels)).max(axis=(1, 2, 3))
    assert difference[0] > 1e-3 and difference[1] == 0
    np.testing.assert_allclose(one.decode(one.encode(pixels)), pixels, atol=0.01)
    log_prob = one.log_prob(pixels) - other.log_prob(pixels)
    assert abs(log_prob[0]) > 1e-3


def test_psnr_reported_is_that_of_the_missing_pixels(restoration, digits_run, capsys):
    restorer = make_restorer(restoration, digits_run, 3)
    restorer.images = np.full([3, 8, 8, 1], 100, np.uint8)
    wrong = restorer.images.copy()
    wrong[:, 2:6, 2:6] += 10
    scores = restorer.report({"wrong": wrong}, missing=np.full(3, 0.25))
    np.testing.assert_allclose(scores["wrong"], 20 * np.log10(25.5))
    assert "wrong: " in capsys.readouterr().out


def test_verdict_says_who_is_better(restoration, capsys):
    scores = {"flow": np.array([20.0, 22.0]), "filter": np.array([23.0, 23.0])}
    restoration.compare(scores, "flow", "filter")
    restoration.compare(scores, "filter", "flow")
    worse, better = capsys.readouterr().out.splitlines()
    assert worse == "flow is worse than filter: -2.00 +- 1.00 dB"
    assert better == "filter is better than flow: +2.00 +- 1.00 dB"


def test_inpainting_example_trains_and_writes_its_picture(
    sibling_examples, tmp_path, monkeypatch, capsys
):
    output = tmp_path / "inpainting.png"
    run_main(
        "inpainting", monkeypatch, output, epochs=1, steps=2, images=4, mask="block"
    )
    printed = capsys.readouterr().out
    assert "25% of the pixels are missing" in printed
    assert "flow is " in printed
    assert is_png(output)
