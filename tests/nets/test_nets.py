import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp
from tfp_realnvp.nets.parts import L2
from tfp_realnvp.nets.resnet import features

PENALTY = keras.regularizers.L2(1e-3)


def res_net(**options):
    return nvp.ResNet(4, filters=6, **{"num_blocks": 1, "seed": 1, **options})


def head(network, **options):
    return nvp.ShiftAndLogScale(network, initial_gain=0.5, **options)


LAYERS = {
    "weight_norm": lambda: nvp.WeightNormConv2D(5),
    "weight_norm_plain": lambda: nvp.WeightNormConv2D(
        5, 1, learn_magnitude=False, use_bias=False
    ),
    "weight_norm_penalty": lambda: nvp.WeightNormConv2D(
        5, magnitude_regularizer=PENALTY
    ),
    "batch_normalization": lambda: nvp.BatchNormalization("moving", momentum=0.5),
    "batch_moments": lambda: nvp.BatchMoments("moving", momentum=0.5),
    "residual_block": lambda: nvp.ResidualBlock(3, seed=1),
    "res_net": lambda: res_net(num_blocks=2),
    "res_net_without_batch_norm": lambda: res_net(batch_norm=None),
    "res_net_without_crelu": lambda: res_net(crelu=False),
    "shift_and_log_scale": lambda: head(res_net(), gain_regularizer=PENALTY),
    "mlp": lambda: nvp.MLP(4, hidden_units=(6, 5), activation="relu", seed=1),
    "mlp_residual": lambda: nvp.MLP(4, hidden_units=(6, 6), residual=True),
    "shift_and_log_scale_of_mlp": lambda: head(nvp.MLP(4, hidden_units=(6,))),
}


def images(seed=0):
    return tf.random.stateless_normal([4, 8, 8, 3], [seed, 0], mean=1.0, stddev=2.0)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_save_inside_a_keras_model(name, tmp_path):
    layer = LAYERS[name]()
    inputs = keras.Input([8, 8, 3])
    symbolic = layer(inputs)
    model = keras.Model(inputs, symbolic)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    values = map(tf.nest.flatten, (loaded(images()), model(images()), symbolic))
    for a, b, announced in zip(*values, strict=True):
        np.testing.assert_array_equal(a, b)
        assert announced.shape[1:] == a.shape[1:]


@pytest.mark.parametrize("name", [*LAYERS, "channel_mixing"])
def test_inputs_of_other_channels_are_refused_by_name(name):
    layer = {**LAYERS, "channel_mixing": nvp.ChannelMixing}[name]()
    layer(images())
    message = "'inputs' of layer .* expected axis -1 of input shape to have value 3"
    with pytest.raises(ValueError, match=message):
        layer(images()[..., :2])


@pytest.mark.parametrize("name", ["weight_norm", "weight_norm_plain", "res_net"])
def test_images_without_a_batch_are_refused_by_name(name):
    # TensorFlow's convolution would end the process.
    layer = LAYERS[name]()
    for _ in range(2):
        with pytest.raises(ValueError, match="'inputs' of layer .* expected ndim=4"):
            layer(images()[0])
        layer(images())


def test_weight_norm_kernels_have_the_length_of_the_magnitude():
    layer = nvp.WeightNormConv2D(5, use_bias=False)
    layer.build((None, 8, 8, 3))
    layer.magnitude.assign([1.0, 2.0, 3.0, 4.0, 5.0])
    # An impulse reads the kernel off the output.
    impulses = tf.reshape(tf.eye(3), [3, 1, 1, 3])
    impulses = tf.pad(impulses, [[0, 0], [2, 2], [2, 2], [0, 0]])
    kernel = layer(impulses).numpy()
    length = np.sqrt(np.square(kernel).sum(axis=(0, 1, 2)))
    np.testing.assert_allclose(length, [1, 2, 3, 4, 5], rtol=1e-5)


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_convolution_takes_over_what_comes_after_it(use_bias):
    layer = nvp.WeightNormConv2D(2, use_bias=use_bias)
    outputs = layer(images())
    if use_bias:
        layer.bias.assign([1.0, -2.0])
        outputs += layer.bias.numpy()
    scale, offset = tf.constant([2.0, 3.0]), tf.constant([-1.0, 5.0])
    found = layer.scaled_and_shifted(images(), scale, offset)
    np.testing.assert_allclose(found, outputs * scale + offset, rtol=1e-4, atol=1e-5)
    found = layer.scaled_and_shifted(images(), scale)
    np.testing.assert_allclose(found, outputs * scale, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalize_by", ["batch", "moving"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_normalization_is_scale_times_normalized_plus_offset(normalize_by, dtype):
    # float32 takes the fused kernels, float64 the composed path.
    layer = nvp.BatchNormalization(normalize_by, momentum=0.5, dtype=dtype)
    layer.build((None, 8, 8, 3))
    layer.scale.assign([1.0, 2.0, 3.0])
    layer.offset.assign([0.5, 0.0, -0.5])
    x = tf.cast(images(), dtype).numpy()
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    moving = 0.5 * mean, 0.5 + 0.5 * variance
    if normalize_by == "moving":
        mean, variance = moving
    expected = (x - mean) / np.sqrt(variance + 1e-4) * [1, 2, 3] + [0.5, 0, -0.5]
    actual = layer(tf.constant(x), training=True)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(layer.moments.moving_mean, moving[0], rtol=1e-5)
    np.testing.assert_allclose(layer.moments.moving_variance, moving[1], rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_epsilon_is_the_one_asked_for(training):
    layer = nvp.BatchNormalization(momentum=0.0, epsilon=1e-8)
    x = 1e-4 * images()
    # Without momentum the moving averages are those of the last batch.
    outputs = [layer(x, training=True), layer(x, training=training)][-1]
    expected = (x - np.mean(x, (0, 1, 2))) / np.sqrt(np.var(x, (0, 1, 2)) + 1e-8)
    np.testing.assert_allclose(outputs, expected, rtol=1e-3, atol=1e-5)


def test_batch_moments_count_only_weighted_entries():
    x = images().numpy()
    weights = nvp.checkerboard_mask((8, 8, 3))
    moments = nvp.BatchMoments()
    moments.build((None, 8, 8, 3))
    mean, variance = moments(x, weights=weights, training=True)
    counted = x[:, weights.numpy()[..., 0]]
    np.testing.assert_allclose(mean, counted.mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(variance, counted.var(axis=(0, 1)), rtol=1e-5)


def test_log_scale_is_bounded_by_the_gain_and_starts_at_it():
    head = nvp.ShiftAndLogScale(res_net(), initial_gain=0.0)
    _, log_scale = head(images())
    np.testing.assert_array_equal(log_scale, np.zeros([4, 8, 8, 2]))
    head.gain.assign(0.25)
    _, log_scale = head(1e3 * images())
    assert 0 < np.abs(log_scale).max() <= 0.25


def test_the_penalty_covers_magnitudes_and_gain():
    regularizer = keras.regularizers.L2(0.5)
    network = res_net(magnitude_regularizer=regularizer)
    head = nvp.ShiftAndLogScale(network, initial_gain=2.0, gain_regularizer=regularizer)
    head.build((None, 8, 8, 3))
    # Two skips and one block of 6 channels start at 1, the output's 4 at 0.1.
    expected = 0.5 * (3 * 6 + 4 * 0.1**2 + 2.0**2)
    np.testing.assert_allclose(float(sum(head.losses)), expected, rtol=1e-6)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    def weights(seed):
        network = res_net(num_blocks=2, seed=seed)
        network.build((None, 8, 8, 3))
        return network.get_weights()

    for a, b in zip(weights(1), weights(1), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(np.any(a != b) for a, b in zip(weights(1), weights(2), strict=True))
    kernels = [w for w in weights(1) if w.shape == (3, 3, 6, 6)]
    assert not np.array_equal(kernels[0], kernels[1])


def vectors(size, seed=0):
    return tf.random.stateless_normal([4, size], [seed, 1])


def mlp(**options):
    return nvp.MLP(4, hidden_units=(6,), **options)


@pytest.mark.parametrize(("make", "inputs"), [(mlp, vectors(2)), (res_net, images())])
def test_conditional_networks_use_the_condition_and_need_it(make, inputs):
    with pytest.raises(ValueError, match="condition: expected None"):
        make()(inputs, condition=vectors(3))
    network = head(make(condition_size=3))
    network.build(tuple(inputs.shape), condition_shape=(None, 3))
    values = [network(inputs, condition=vectors(3, seed))[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(values[0], values[1])
    assert np.all(np.any(np.abs(values[0] - values[2]) > 1e-5, axis=-1))
    with pytest.raises(ValueError, match=r"condition: expected shape \(N, 3\) .* None"):
        network(inputs)
    with pytest.raises(ValueError, match=r"condition: expected shape \(N, 3\) .*4\)"):
        network(inputs, condition=vectors(4))


def test_residual_layers_add_to_their_input():
    plain, residual = (
        nvp.MLP(4, hidden_units=(6, 6), residual=r, seed=1) for r in (False, True)
    )
    for network in (plain, residual):
        network.build((None, 2))
    x = vectors(2)
    first = residual.activation(residual.hidden[0](x))
    second = residual.activation(residual.hidden[1](first))
    np.testing.assert_allclose(residual(x), residual.output_layer(first + second))
    np.testing.assert_allclose(plain(x), plain.output_layer(second))


@pytest.mark.parametrize(
    ("context", "crelu", "expected"),
    [
        (None, True, [0, 2, 1, 0]),
        (5, True, [0, 2, 1, 0, 5]),
        (None, False, [-1, 2]),
        (5, False, [-1, 2, 5]),
    ],
)
def test_crelu_features_are_both_signs_of_the_input(context, crelu, expected):
    context = None if context is None else tf.constant([[[[context]]]])
    seen = features(tf.constant([[[[-1.0, 2.0]]]]), context, crelu)
    np.testing.assert_array_equal(seen[0, 0, 0], expected)


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_penalty_and_its_gradient_are_those_of_keras(shape, dtype):
    values = np.random.default_rng(0).normal(size=shape)
    found = []
    for regularizer in (L2(0.3), keras.regularizers.L2(0.3)):
        variable = keras.Variable(values, dtype=dtype)
        with tf.GradientTape() as tape:
            penalty = regularizer(variable)
        assert penalty.dtype == dtype
        found.append((penalty, tape.gradient(penalty, variable.value)))
    for actual, expected in zip(*found, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_hidden_units_of_an_mlp_bend_at_different_places_that_a_seed_fixes():
    one, same, other = (nvp.MLP(2, hidden_units=(8, 8), seed=s) for s in (0, 0, 1))
    for network in (one, same, other):
        network.build((None, 4))
    for layer, again, another in zip(
        one.hidden, same.hidden, other.hidden, strict=True
    ):
        bias, limit = layer.bias.numpy(), layer.kernel.shape[0] ** -0.5
        assert len(np.unique(bias)) == 8 and np.abs(bias).max() <= limit
        np.testing.assert_array_equal(bias, again.bias)
        assert not np.array_equal(bias, another.bias)
    assert not np.any(one.output_layer.bias)
