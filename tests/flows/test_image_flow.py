import math
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.choices import DATA_SETS
from tfp_realnvp.flows.presets import dataset_of, preset_for

tfb = tfp.bijectors
tfd = tfp.distributions
SMALL = {"event_shape": (8, 8, 1), "filters": 4, "num_blocks": 1, "seed": 0}


def small(**options):
    return nvp.image_flow(**{**SMALL, **options})


def test_presets_make_the_flows_they_describe_unless_told_otherwise():
    flow = nvp.image_flow("cifar10", filters=2, num_blocks=1)
    real_nvp = flow.bijector.bijectors[1]
    assert flow.event_shape == (32, 32, 3)
    assert real_nvp.num_scales == 2
    assert real_nvp.parameters["batch_norm"] == "moving"
    assert real_nvp.parameters["momentum"] == 0.1
    with pytest.raises(TypeError):
        nvp.PRESETS["cifar10"]["filters"] = 2
    flow = nvp.image_flow("digits", event_shape=(16, 8, 3), filters=2, num_blocks=1)
    assert flow.event_shape == (16, 8, 3)


def test_every_preset_is_for_a_data_set_and_every_data_set_has_a_preset():
    for preset in nvp.PRESETS:
        assert dataset_of(preset) in DATA_SETS
    for dataset in {*DATA_SETS} - {"photos"}:
        assert dataset_of(preset_for(dataset)) == dataset
    assert preset_for("cifar10") == "cifar10"
    assert preset_for("photos") == preset_for("folder:mine") == "cifar10-small"
    with pytest.raises(ValueError, match="preset: expected .* or .*, got 'mnist'"):
        dataset_of("mnist")


@pytest.mark.parametrize(
    "preset", [name for name in nvp.PRESETS if not name.startswith(("cifar", "digits"))]
)
def test_the_papers_flows_are_squeezed_until_the_last_scale_is_4_x_4(preset):
    sizes = nvp.PRESETS[preset]
    side = sizes["event_shape"][0]
    assert side // 2 ** (sizes["num_scales"] - 1) == 4
    assert (sizes["filters"], sizes["num_blocks"]) == (32, {32: 4, 64: 2}[side])


def test_any_base_of_the_right_shape_will_do():
    flow = small(base=tfd.Sample(tfd.StudentT(5.0, 0.0, 1.0), [8, 8, 1]))
    assert np.all(np.isfinite(flow.log_prob(tf.fill([2, 8, 8, 1], 100.0))))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "mnist"}, "preset: expected .*\"cifar10\".*, got 'mnist'"),
        ({}, "event_shape: expected one, or a preset; got neither"),
        ({"event_shape": (4,)}, r"event_shape: expected \(height, .* got \(4,\)"),
        ({**SMALL, "alpha": 2.0}, "alpha: expected .* got 2.0"),
        (
            {**SMALL, "base": tfd.Sample(tfd.Normal(0.0, 1.0), [64])},
            "base: expected ev",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        nvp.image_flow(**arguments)


@pytest.mark.parametrize(
    "given",
    [np.uint8, np.int64, lambda x: x.astype(int).tolist(), tf.constant, list],
    ids=["uint8", "int64", "numbers", "tensor", "list of arrays"],
)
def test_integers_have_no_density_before_noise_is_added(given):
    images, flow = np.full([2, 8, 8, 1], 7, np.uint8), small()
    message = "expected a floating dtype, got u?int.* dequantization noise"
    for part in (flow, flow.copy(), nvp.freeze(flow)):
        with pytest.raises(ValueError, match=f"value: {message}"):
            part.log_prob(given(images))
    with pytest.raises(ValueError, match=f"y: {message}"):
        flow.bijector.inverse(given(images))
    assert np.isfinite(flow.log_prob((images + 0.5).tolist())).all()


def test_values_that_are_no_pixels_are_refused_or_without_checks_have_the_density_nan():
    images = np.full([4, 8, 8, 1], 7.5, np.float32)
    images[1:, 3, 3, 0] = np.nan, 300.0, -20.0
    found = small(validate_args=False).log_prob(images)
    np.testing.assert_array_equal(np.isnan(found), [0, 1, 1, 1])
    for image in images[1:]:
        with pytest.raises(tf.errors.InvalidArgumentError, match="pixels: expected"):
            small().log_prob(image)


def test_images_of_another_size_are_for_a_copy_with_a_base_of_that_size():
    flow = small()
    images = tf.random.stateless_uniform([2, 16, 4, 1], [0, 0], maxval=256.0)
    message = (
        r"expected images .*\(8, 8, 1\), got \(2, 16, 4, 1\). .*flow.copy\((.*)\)\."
    )
    with pytest.raises(ValueError, match=message) as error:
        flow.log_prob(images)
    base = re.search("distribution=(.*)\\)\\.$", str(error.value))[1]
    copy = flow.copy(distribution=eval(base))
    assert copy.trainable_variables[0] is flow.trainable_variables[0]
    z = flow.bijector.inverse(images)
    log_det = flow.bijector.inverse_log_det_jacobian(images, event_ndims=3)
    expected = tf.reduce_sum(tfd.Normal(0.0, 1.0).log_prob(z), [1, 2, 3]) + log_det
    np.testing.assert_allclose(copy.log_prob(images), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 8, 8, 3), r"expected shape \(..., 8, 8, 1\)"),
        ((8, 8), "y: expected events of rank 3, got shape"),
        ((8,), "y: expected events of rank 3, got shape"),
    ],
)
def test_what_are_no_such_images_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        small().log_prob(tf.zeros(shape))


def test_a_preset_takes_ones_own_networks_and_transform():
    flow = nvp.image_flow(
        "digits",
        architecture=nvp.MultiScale(1),
        conditioner=lambda outputs: keras.layers.Conv2D(outputs, 3, padding="same"),
        transform=nvp.RationalQuadraticSpline(num_bins=2),
    )
    x = tf.random.stateless_uniform([2, 8, 8, 1], (0, 0), 0, 256)
    assert flow.log_prob(x).shape == [2]
    assert len(flow.trainable_variables) == 4 * 2


def test_the_unit_is_bits_for_each_entry_of_the_event():
    assert nvp.bits_per_dim(-6 * math.log(2), (1, 2, 3)) == 1.0
    assert nvp.bits_per_dim([-6 * math.log(2)], [1, 2, 3]) == [1.0]
    with pytest.raises(ValueError, match="event_shape: expected a sequence"):
        nvp.bits_per_dim(1.0, (0, 2))


def test_a_uniform_density_over_pixels_takes_eight_bits():
    # The logit there and back again: uniform, and seen by the model as pixels.
    uniform = tfd.Independent(tfd.Uniform(tf.zeros([8, 8, 1]), 256.0), 3)
    logits = tfd.TransformedDistribution(uniform, tfb.Invert(nvp.PixelLogit()))
    model = nvp.FlowModel(tfd.TransformedDistribution(logits, nvp.PixelLogit()))
    model.compile()
    images = np.random.default_rng(0).integers(0, 256, [32, 8, 8, 1], np.uint8)
    result = model.evaluate(images, return_dict=True, verbose=0)
    np.testing.assert_allclose(result["bits_per_dim"], 8.0, atol=1e-5)
