"""Latents far outside, and images of black and white: finite numbers all the same."""

import constructors
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.figures import decode_latents

tfd = tfp.distributions

# One worker makes the flows for all.
pytestmark = pytest.mark.xdist_group("extremes")

EVENT = (8, 8, 1)


def flow_of(dtype, kind):
    flow = nvp.image_flow(
        event_shape=EVENT, filters=4, num_blocks=1, seed=0, dtype=tf.as_dtype(dtype)
    )
    if kind == "perturbed":
        constructors.perturb(flow.bijector)
    if kind == "trained":
        model = nvp.FlowModel(flow, seed=0)
        model.compile(run_eagerly=True)
        images = np.random.default_rng(0).integers(0, 256, [16, *EVENT])
        model.fit(images.astype(np.uint8), batch_size=8, epochs=2, verbose=0)
    return flow


@pytest.fixture(scope="module", params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(scope="module", params=["new", "perturbed", "trained"])
def flow(request, dtype):
    return flow_of(dtype, request.param)


def directions(count=4):
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], size=[count, *EVENT])
    return np.concatenate([signs, np.ones([1, *EVENT]), -np.ones([1, *EVENT])])


@pytest.mark.parametrize("size", [10.0, 100.0, 1000.0])
def test_extreme_latents_give_finite_images_in_range(flow, size):
    latents = size * directions()
    pixels = flow.bijector.forward(tf.constant(latents, flow.dtype)).numpy()
    # The range of PixelLogit with alpha = 0.05.
    assert np.isfinite(pixels).all()
    assert pixels.min() >= -14.3 and pixels.max() <= 270.3
    images = decode_latents(flow, latents)
    assert images.dtype == np.uint8 and images.shape == latents.shape


@pytest.mark.parametrize("size", [10.0, 100.0, 1000.0])
def test_extreme_latents_of_vectors_give_finite_vectors(dtype, size):
    flow = nvp.RealNVPBijector((5,), num_couplings=4, seed=0, dtype=tf.as_dtype(dtype))
    constructors.perturb(flow)
    signs = np.random.default_rng(0).choice([-size, size], size=[8, 5])
    assert np.isfinite(flow.forward(tf.constant(signs, dtype))).all()


def extreme_images():
    checkerboard = np.indices(EVENT).sum(axis=0) % 2 * 255.0
    return np.stack(
        [
            np.zeros(EVENT),
            np.full(EVENT, 255.0),
            np.full(EVENT, 256.0),
            checkerboard,
            255 - checkerboard,
        ]
    )


def test_black_and_white_images_have_finite_densities(flow):
    log_prob = flow.log_prob(tf.constant(extreme_images(), flow.dtype)).numpy()
    assert np.isfinite(log_prob).all()
    assert np.isfinite(nvp.bits_per_dim(log_prob, EVENT)).all()


def test_a_model_scores_8_bit_black_and_white(flow):
    images = np.minimum(extreme_images(), 255).astype(np.uint8)
    model = nvp.FlowModel(flow, seed=0)
    model.compile(run_eagerly=True)
    assert np.isfinite(model.predict(images, verbose=0)).all()
