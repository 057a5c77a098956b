import numpy as np

from tfp_realnvp.data import ImageSplit
from tfp_realnvp.data.baselines import gaussian_bits_per_dim


def test_gaussian_baseline_of_gaussian_pixels_is_their_entropy():
    rng = np.random.default_rng(0)
    pixels = np.clip(rng.normal(128, 20, size=[4000, 4, 4, 1]), 0, 255).astype(np.uint8)
    train, test = (ImageSplit.from_array(half) for half in np.split(pixels, 2))
    entropy = 0.5 * np.log2(2 * np.pi * np.e * 20**2)
    assert abs(gaussian_bits_per_dim(train, test) - entropy) < 0.02
