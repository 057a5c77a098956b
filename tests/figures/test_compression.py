import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.figures import (
    compression,
    conceptual_compression,
    encode_images,
    kept_fractions,
)
from tfp_realnvp.figures.compression import resample_finest

tfd = tfp.distributions


def test_all_latents_reproduce_the_images_and_fewer_do_not(flow, images):
    levels = conceptual_compression(flow, images)
    assert levels.shape == (3, 8, 8, 8, 1)
    np.testing.assert_array_equal(levels[0], images)
    assert np.all(np.any(levels[1] != images, axis=(1, 2, 3)))


def test_what_is_drawn_anew_are_the_finest_latents(flow, images):
    latents = encode_images(flow, images)
    fresh = np.random.default_rng(1).normal(size=latents.shape).astype(np.float32)
    for scales in range(3):
        mixed = resample_finest(flow, latents, fresh, scales=scales)
        # Seen from the pixels, not only from what was put together.
        pixels = flow.bijector.forward(tf.constant(mixed))
        again = flow.bijector.inverse(tf.identity(pixels))
        split = flow.bijector.bijectors[1].split_latent
        parts = [split(tf.constant(z)) for z in (latents, fresh)]
        for i, found in enumerate(split(again)):
            expected = parts[1 if i < scales else 0][i]
            np.testing.assert_allclose(found, expected, atol=1e-2)
    finest = split(tf.constant(latents))[0]
    assert finest.shape == (8, 4, 4, 2)


def test_a_conditional_flow_keeps_the_condition(by_class, images, labels):
    levels = conceptual_compression(by_class, images, kept=[0.5, 1], condition=labels)
    np.testing.assert_array_equal(levels[1], images)
    other = conceptual_compression(by_class, images, kept=[0.5], condition=labels * 0)
    assert np.any(other[0] != levels[0])


def test_no_less_than_a_sixteenth_is_kept_unless_asked_for(flow, images, monkeypatch):
    assert compression._LEAST == 1 / 16
    assert kept_fractions(flow) == [1, 0.5, 0.25]
    # As if the flow had two scales more than those down to the least.
    monkeypatch.setattr(compression, "_LEAST", 1 / 2)
    assert len(conceptual_compression(flow, images[:1])) == 2
    assert len(conceptual_compression(flow, images[:1], kept=[0.25])) == 1


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ([1, 0.3], "kept: expected fractions among 1, 0.5, 0.25, which the 3 scales"),
        ([0.0625], "got 0.0625"),
        ([], "kept: expected at least one fraction"),
    ],
)
def test_fractions_that_scales_do_not_allow_are_refused(kept, message, flow, images):
    with pytest.raises(ValueError, match=message):
        conceptual_compression(flow, images, kept=kept)


def test_a_flow_without_scales_of_its_own_is_refused():
    flow = tfd.TransformedDistribution(
        tfd.Independent(tfd.Normal(tf.zeros([8, 8, 1]), 1.0), 3), nvp.PixelLogit()
    )
    with pytest.raises(ValueError, match="flow: expected a RealNVPBijector next to"):
        kept_fractions(flow)
