"""Extreme latents, and images all black or white, still give finite numbers."""

import constructors
import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp
from tfp_realnvp.figures import decode_latents

# One worker makes the flows for all.
pytestmark = pytest.mark.xdist_group("extremes")

EVENT = (8, 8, 1)
BOARD = np.indices(EVENT).sum(axis=0) % 2 * 255.0
IMAGES = np.stack([0 * BOARD, 0 * BOARD + 255, 0 * BOARD + 256, BOARD, 255 - BOARD])


@pytest.fixture(scope="module", params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(scope="module", params=["new", "perturbed", "trained"])
def flow(request, dtype):
    flow = nvp.image_flow(
        event_shape=EVENT, filters=4, num_blocks=1, seed=0, dtype=tf.as_dtype(dtype)
    )
    if request.param == "perturbed":
        constructors.perturb(flow.bijector)
    if request.param == "trained":
        model = nvp.FlowModel(flow, seed=0)
        model.compile(run_eagerly=True)
        images = np.random.default_rng(0).integers(0, 256, [16, *EVENT])
        model.fit(images.astype(np.uint8), batch_size=8, epochs=2, verbose=0)
    return flow


SIZES = np.array([10.0, 100.0, 1000.0]).repeat(4)


def test_extreme_latents_give_finite_images_in_range(flow):
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=[12, *EVENT])
    signs[::4], signs[1::4] = 1, -1
    latents = SIZES[:, None, None, None] * signs
    pixels = flow.bijector.forward(tf.constant(latents, flow.dtype)).numpy()
    # The range of PixelLogit with alpha = 0.05.
    assert np.isfinite(pixels).all()
    assert pixels.min() >= -14.3 and pixels.max() <= 270.3
    images = decode_latents(flow, latents)
    assert images.dtype == np.uint8 and images.shape == latents.shape


def test_extreme_latents_of_vectors_give_finite_vectors(dtype):
    flow = nvp.RealNVPBijector((5,), num_couplings=4, seed=0, dtype=tf.as_dtype(dtype))
    constructors.perturb(flow)
    latents = SIZES[:, None] * np.random.default_rng(0).choice([-1, 1], size=[12, 5])
    assert np.isfinite(flow.forward(tf.constant(latents, dtype))).all()


def test_black_and_white_images_have_finite_densities(flow):
    log_prob = flow.log_prob(tf.constant(IMAGES, flow.dtype)).numpy()
    assert np.isfinite(nvp.bits_per_dim(log_prob, EVENT)).all()
    model = nvp.FlowModel(flow, seed=0)
    model.compile(run_eagerly=True)
    images = np.minimum(IMAGES, 255).astype(np.uint8)
    assert np.isfinite(model.predict(images, verbose=0)).all()
