import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfb = tfp.bijectors
tfd = tfp.distributions


def test_a_uniform_density_over_pixels_takes_eight_bits():
    uniform = tfd.Independent(tfd.Uniform(tf.zeros([8, 8, 3]), 256.0), 3)
    bits = nvp.bits_per_dim(uniform.log_prob(tf.fill([2, 8, 8, 3], 7.0)), (8, 8, 3))
    np.testing.assert_allclose(bits, [8.0, 8.0], atol=1e-6)


def test_the_unit_is_bits_for_each_entry_of_the_event():
    assert nvp.bits_per_dim(-6 * math.log(2), (1, 2, 3)) == 1.0


def test_the_model_reports_eight_bits_for_a_uniform_density_over_pixels():
    # The logit there and back again: uniform, and seen by the model as pixels.
    uniform = tfd.Independent(tfd.Uniform(tf.zeros([8, 8, 1]), 256.0), 3)
    logits = tfd.TransformedDistribution(uniform, tfb.Invert(nvp.PixelLogit()))
    flow = tfd.TransformedDistribution(logits, nvp.PixelLogit())
    model = nvp.FlowModel(flow)
    model.compile()
    images = np.random.default_rng(0).integers(0, 256, [32, 8, 8, 1], np.uint8)
    result = model.evaluate(images, return_dict=True, verbose=0)
    np.testing.assert_allclose(result["bits_per_dim"], 8.0, atol=1e-5)
