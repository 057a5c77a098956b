"""Float32 goes through fused kernels, float64 through the formulas as they are."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp

WRAPS = {
    "eager": lambda f, spec: f,
    "graph": lambda f, spec: tf.function(f),
    "graph of any size": lambda f, spec: tf.function(f, input_signature=[spec]),
    "XLA": lambda f, spec: tf.function(f, jit_compile=True),
}


def norm_and_images(normalize_by, dtype):
    """A layer with moved weights and averages, and images in its dtype."""
    norm = nvp.BatchNormalization(normalize_by, momentum=0.7, dtype=dtype)
    norm.build((None, None, None, 3))
    rng = np.random.default_rng(0)
    for variable in norm.variables:
        variable.assign(rng.uniform(0.5, 2.0, size=variable.shape))
    images = rng.normal(2.0, 3.0, size=(4, 5, 6, 3))
    return norm, tf.constant(images, norm.compute_dtype)


def value_and_gradients(norm, images, training):
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = norm(images, training=training)
        loss = tf.reduce_sum(tf.sin(tf.cast(outputs, norm.variable_dtype)))
    weights = [variable.value for variable in norm.trainable_variables]
    return [outputs, *tape.gradient(loss, [images, *weights])]


def assert_close(actual, expected, atol):
    """Compares by the largest value of each."""
    for value, wanted in zip(actual, expected, strict=True):
        value, scale = tf.cast(value, tf.float64), np.abs(wanted).max()
        np.testing.assert_allclose(value / scale, wanted / scale, atol=atol)


def everything(normalize_by, dtype, training, wrap="eager"):
    """Returns outputs, gradients, and the averages after the pass."""
    norm, images = norm_and_images(normalize_by, dtype)
    spec = tf.TensorSpec([None, None, None, 3], images.dtype)
    run = WRAPS[wrap](lambda x: value_and_gradients(norm, x, training), spec)
    return [*run(images), *(v.value for v in norm.moments.variables)]


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize(
    ("normalize_by", "training"), [("batch", True), ("moving", True), ("moving", False)]
)
def test_values_gradients_and_averages_are_those_of_the_formulas(
    normalize_by, training, wrap
):
    found, expected = (
        everything(normalize_by, dtype, training, wrap)
        for dtype in ("float32", "float64")
    )
    assert_close(found, expected, 5e-6)


@pytest.mark.parametrize("normalize_by", ["batch", "moving"])
def test_bfloat16_inputs_keep_the_accuracy_of_bfloat16(normalize_by):
    found = everything(normalize_by, "mixed_bfloat16", training=True)
    expected = everything(normalize_by, "float64", training=True)
    assert_close(found, expected, 0.03)
    # Averages are of float32.
    assert_close(found[-2:], expected[-2:], 1e-3)


def second_gradients(normalize_by, dtype, training):
    norm, images = norm_and_images(normalize_by, dtype)
    with tf.GradientTape() as tape:
        tape.watch(images)
        _, first, *_ = value_and_gradients(norm, images, training)
        loss = tf.reduce_sum(tf.square(first))
    return tape.gradient(loss, [images, norm.scale.value])


@pytest.mark.parametrize(
    ("normalize_by", "training"), [("batch", True), ("moving", False)]
)
def test_gradients_of_gradients_are_those_of_the_formulas(normalize_by, training):
    found = [
        second_gradients(normalize_by, dtype, training)
        for dtype in ("float32", "float64")
    ]
    assert_close(*found, 1e-4)


def test_a_second_gradient_by_moving_averages_is_refused():
    with pytest.raises(LookupError, match='batch_norm="moving": expected to be differ'):
        second_gradients("moving", "float32", training=True)


@pytest.mark.parametrize("normalize_by", ["batch", "moving"])
@pytest.mark.parametrize("wrap", ["eager", "graph"])
def test_a_batch_of_one_pixel_is_normalized_by_the_moving_averages(normalize_by, wrap):
    norm = nvp.BatchNormalization(normalize_by)
    one, many = tf.constant([[[[5.0, 6.0]]]]), tf.reshape(tf.range(8.0), [4, 1, 1, 2])
    norm(many, training=True)
    averages = [v.numpy() for v in norm.moments.variables]
    expected = norm(one)
    found = WRAPS[wrap](lambda x: norm(x, training=True), None)(one)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    for variable, value in zip(norm.moments.variables, averages, strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-6)


def test_several_pixels_of_images_of_one_are_normalized_by_their_own_moments():
    many = tf.reshape(tf.range(8.0), [4, 1, 1, 2])
    found = nvp.BatchNormalization()(many, training=True)
    centred = many - tf.reduce_mean(many, axis=0)
    np.testing.assert_allclose(found, centred / np.sqrt(5 + 1e-4), rtol=1e-5)
