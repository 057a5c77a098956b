"""Numbers of any dtype, shape and size: never a wrong answer without an error."""

import numpy as np
import pytest
import small_subjects as small
import tensorflow as tf
from pixel_models import uniform_model

import tfp_realnvp as nvp
from tfp_realnvp import figures

DTYPES = ["float16", "float32", "float64", "int8", "int32", "int64", "uint8", "bool"]
FILLS = [0, 1, 7, -1, 255, 256, 1e30, np.nan, np.inf]


def split_latent(x):
    return np.concatenate([np.ravel(z) for z in bijector.split_latent(x)])


def predict(flow, x):
    return small.model(flow).predict(x, verbose=0)


flow, vectors = small.flow(), small.vectors()
real_nvp = flow.bijector.bijectors[1]
bijector = nvp.RealNVPBijector((4, 4, 1), num_scales=2, filters=2, num_blocks=1, seed=0)
norm, logit = nvp.BatchNorm((3,)), nvp.PixelLogit(validate_args=True)
labels = {"bijector_kwargs": {"condition": [0, 1]}}
IMAGES, ROWS = (2, 4, 4, 1), (2, 3)
# Whole numbers are pixels to the first, given images, and numbers to the others.
OF_PIXELS = {
    "predict": lambda x: predict(flow, x),
    "encode_images": lambda x: figures.encode_images(flow, x),
    "image_bits_per_dim": lambda x: figures.image_bits_per_dim(flow, x),
}
ENTRIES = {
    **{name: (function, IMAGES) for name, function in OF_PIXELS.items()},
    "log_prob": (flow.log_prob, IMAGES),
    "log_prob of vectors": (vectors.log_prob, ROWS),
    "log_prob by class": (lambda x: small.vectors(3).log_prob(x, **labels), ROWS),
    "predict of vectors": (lambda x: predict(vectors, x), ROWS),
    "forward": (real_nvp.forward, IMAGES),
    "inverse_log_det": (lambda x: real_nvp.inverse_log_det_jacobian(x, 3), IMAGES),
    "split_latent": (split_latent, IMAGES),
    "BatchNorm": (norm.inverse, ROWS),
    "PixelLogit": (logit.inverse, (2,)),
    "Squeeze": (nvp.Squeeze().forward, (2, 2, 2, 3)),
    "decode_latents": (lambda x: figures.decode_latents(flow, x), IMAGES),
}


def array(dtype, shape, fill):
    with np.errstate(all="ignore"):
        if dtype[0] in "biu" and not abs(fill) < 1e9:
            fill = 0
        return np.full(shape, fill).astype(dtype)


def values(shape):
    """Arrays of the shape of every dtype and fill, and of others of a usual dtype."""
    yield from (array(dtype, shape, fill) for dtype in DTYPES for fill in FILLS)
    others = [(), (0,), (0, *shape[1:]), shape[1:], (1, *shape), (*shape, 1)]
    others += [shape[:-1], (*shape[:-1], 2 * shape[-1]), (2, 3, 5, 1)]
    yield from (array("float32", other, 1) for other in others)


@pytest.mark.parametrize("name", ENTRIES)
def test_an_answer_is_that_to_the_same_numbers_in_the_usual_dtype(name):
    function, shape = ENTRIES[name]
    answered = 0
    for value in values(shape):
        try:
            with np.errstate(all="ignore"):
                found = np.asarray(function(value))
        except Exception:
            # Whose words are right is for the tests of what raises it.
            continue
        told = f"{value.dtype} of shape {value.shape}: {value.ravel()[:1]}"
        if not np.isfinite(value).all():
            assert not np.isfinite(found).any() or name == "Squeeze", told
            continue
        is_pixels = name in OF_PIXELS and value.dtype.kind != "f"
        usual = value.astype(np.uint8 if is_pixels else np.float32)
        if is_pixels:
            np.testing.assert_array_equal(usual, value, told)
        with np.errstate(all="ignore"):
            expected = np.asarray(function(usual))
        rtol = 2e-3 if found.dtype == np.float16 else 1e-5
        np.testing.assert_allclose(found, expected, rtol=rtol, err_msg=told)
        # What overflows float32 is infinite, and no number.
        assert not np.isnan(found).any() or np.abs(value).max() > 1e9, told
        answered += 1
    assert answered > 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e38])
def test_a_failed_fit_leaves_the_model_as_it_was(bad):
    model = small.model(small.vectors())
    before = small.state(model)
    x = np.zeros([4, 3], np.float32)
    x[2, 1] = bad
    with pytest.raises((ValueError, FloatingPointError)):
        model.fit(x, batch_size=4, verbose=0)
    for a, b in zip(before, small.state(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_dequantization_noise_is_uniform_over_a_pixel_and_new_in_each_batch():
    for low, high in ((0.0, 1.0), (0.0, 0.5), (0.5, 1.0)):
        model = uniform_model((1, 1, 1), 7 + low, 7 + high)
        model.compile(run_eagerly=True)
        x = np.full([1000, 1, 1, 1], 7, np.uint8)
        is_in = np.isfinite(model.predict(x, batch_size=500, verbose=0))
        assert abs(is_in.mean() - (high - low)) < 0.06
    assert (is_in[:500] != is_in[500:]).any()


def test_tensors_that_are_not_dense_are_refused():
    for x in (tf.ragged.constant([[1.0], [2.0, 3.0]]), tf.sparse.eye(2)):
        with pytest.raises((ValueError, TypeError)):
            small.model(small.vectors()).predict(x, verbose=0)
