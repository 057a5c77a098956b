import numpy as np
import pytest
from example import is_png, load_example, run_main

from tfp_realnvp.figures import image_bits_per_dim, psnr, to_uint8

# One worker trains the run for all.
pytestmark = pytest.mark.xdist_group("digits_run")

SIGMA = 50


@pytest.fixture
def denoising(sibling_examples):
    return load_example("denoising")


@pytest.fixture
def restorer(sibling_examples, digits_run):
    restoration = load_example("restoration")
    flow, data = restoration.load_run(digits_run, None)
    return restoration.Restorer(flow, data.test.take(24))


@pytest.fixture
def noisy(restorer):
    noise = np.random.default_rng(0).normal(size=restorer.images.shape)
    return restorer.images + 0.5 + SIGMA * noise


@pytest.mark.parametrize("over", ["pixels", "latents"])
def test_either_mode_is_nearer_to_the_originals_than_a_filter_and_likelier(
    denoising, restorer, noisy, over
):
    restored = denoising.denoise(restorer, noisy, SIGMA, 60, over=over)
    filtered = denoising.best_gaussian_filter(noisy, restorer.images)
    before, after = (psnr(to_uint8(x), restorer.images) for x in (noisy, restored))
    assert after.mean() > before.mean() + 2
    assert after.mean() > psnr(filtered, restorer.images).mean() + 1
    bits = [image_bits_per_dim(restorer.flow, to_uint8(x)) for x in (noisy, restored)]
    assert np.all(bits[1] < bits[0])


def test_little_noise_changes_little(denoising, restorer):
    noisy = restorer.images + 0.5
    restored = denoising.denoise(restorer, noisy, 2.0, 60, over="latents")
    assert psnr(restored, restorer.images).min() > 30


def test_filter_compared_with_is_the_best_of_its_widths(denoising, restorer, noisy):
    best = denoising.best_gaussian_filter(noisy, restorer.images)
    for width in denoising.WIDTHS:
        denoising.WIDTHS = (width,)
        other = denoising.best_gaussian_filter(noisy, restorer.images)
        assert psnr(best, restorer.images).mean() >= psnr(other, restorer.images).mean()


def test_denoising_example_takes_a_run_and_writes_its_picture(
    sibling_examples, digits_run, tmp_path, monkeypatch, capsys
):
    output = tmp_path / "denoising.png"
    run_main("denoising", monkeypatch, output, run=digits_run, steps=2, images=4)
    assert "over latents is " in capsys.readouterr().out
    assert is_png(output)
