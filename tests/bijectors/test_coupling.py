import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import sinh_arcsinh

import tfp_realnvp as nvp
from tfp_realnvp.bijectors.transforms import _Spline

tfb = tfp.bijectors
tfd = tfp.distributions
BOARD, CHANNELS = nvp.checkerboard_mask, nvp.channel_mask
Dense, Lambda = keras.layers.Dense, keras.layers.Lambda


@keras.saving.register_keras_serializable("tests")
def positive_scale(parameters):
    scale = 0.5 + tf.nn.softplus(parameters[..., 1])
    return tfb.Chain([tfb.Shift(parameters[..., 0]), tfb.Scale(scale)])


class Unbuilt(keras.layers.Layer):
    """A network without `build`, whose activation has a weight too."""

    def __init__(self):
        super().__init__()
        self.dense = Dense(6, activation=keras.layers.PReLU())

    def call(self, inputs):
        return self.dense(inputs)


class Fixed(keras.layers.Layer):
    """Returns known shift and log-scale, whatever it sees."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels
        self.built = True

    def call(self, inputs, context=None):
        self.seen, self.context = inputs, context
        ones = tf.ones([*inputs.shape[:-1], self.channels])
        return 3.0 * ones, np.log(2.0) * ones


def normal(*shape):
    return tf.random.stateless_normal(shape, (0, 0))


def test_parameters_go_to_the_entries_that_they_are_for():
    parameters = np.arange(6.0, dtype="float32")
    network = Lambda(lambda x: 0 * x[..., :1] + parameters)
    coupling = nvp.Coupling(
        (5,), network, np.arange(5) < 2, lambda p: tfb.Shift(p[..., 0] - 10 * p[..., 1])
    )
    y = coupling.forward(tf.zeros([2, 5]))
    np.testing.assert_allclose(y, [[0, 0, -10, -28, -46]] * 2)


def test_an_affine_transform_is_the_affine_coupling():
    def affine(p):
        return tfb.Chain([tfb.Shift(p[..., 0]), tfb.Scale(log_scale=p[..., 1])])

    dense, x = Dense(4, kernel_initializer="ones"), normal(3, 4)
    pair = Lambda(lambda x: (dense(x)[..., ::2], dense(x)[..., 1::2]))
    of_pairs = nvp.AffineCoupling((4,), pair, CHANNELS)
    coupling = nvp.Coupling((4,), dense, CHANNELS, affine)
    for method in ("forward", "forward_log_det_jacobian"):
        found, expected = (getattr(c, method)(x) for c in (coupling, of_pairs))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_what_passes_through_a_spatial_mask_keeps_its_bits():
    network = keras.layers.Conv2D(2 * 5, 3, padding="same")
    spline, x = nvp.RationalQuadraticSpline(2), normal(2, 4, 4, 2)
    y = nvp.Coupling((4, 4, 2), network, BOARD, spline).forward(x)
    passes = np.broadcast_to(BOARD((4, 4, 2)), x.shape)
    np.testing.assert_array_equal(np.asarray(y)[passes], np.asarray(x)[passes])
    assert np.abs(y - x)[~passes].min() > 0


def test_a_spline_is_the_identity_at_first_and_outside_of_its_bound():
    x = tf.constant([-9.0, -2.9, 0.3, 2.9, 9.0])
    spline = nvp.RationalQuadraticSpline(bound=3.0)
    np.testing.assert_allclose(spline(tf.zeros([5, 23])).forward(x), x, atol=1e-5)
    bent = spline(normal(5, 23))
    y = np.asarray(bent.forward(x))
    np.testing.assert_array_equal(y[[0, 4]], [-9.0, 9.0])
    assert np.abs(y - x)[1:4].min() > 1e-3
    log_det = bent.forward_log_det_jacobian(x, event_ndims=0)
    np.testing.assert_array_equal(np.asarray(log_det)[[0, 4]], [0.0, 0.0])


def test_splines_are_the_same_one_by_one_as_in_a_batch():
    # Where `tf.pad` forgets what to pad with.
    spline, x, parameters = (
        nvp.RationalQuadraticSpline(),
        normal(6, 4),
        normal(6, 4, 23),
    )
    for method in ("forward", "inverse"):
        value = getattr(spline(parameters), method)(x)
        by_one = tf.vectorized_map(
            lambda pair, method=method: getattr(spline(pair[1]), method)(pair[0]),
            (x, parameters),
        )
        np.testing.assert_allclose(by_one, value, rtol=1e-5)


def test_splines_are_those_of_tfp():
    x, (widths, heights) = normal(6), np.exp(normal(2, 6, 4))
    sizes = [6 * v / v.sum(axis=-1, keepdims=True) for v in (widths, heights)]
    arguments = dict(zip(("bin_widths", "bin_heights"), sizes, strict=True))
    arguments |= {"knot_slopes": np.exp(normal(6, 3)), "range_min": -3.0}
    ours, tfps = _Spline(**arguments), tfb.RationalQuadraticSpline(**arguments)
    for method in ("forward", "inverse", "forward_log_det_jacobian"):
        found, expected = (getattr(s, method)(x) for s in (ours, tfps))
        np.testing.assert_array_equal(found, expected)


def test_networks_see_the_shape_that_splines_give_of_batches_of_any_size():
    spline = nvp.RationalQuadraticSpline(num_bins=3)
    networks = [nvp.ResNet(8, filters=2, num_blocks=1) for _ in range(2)]
    chain = nvp.FusedChain(
        [nvp.Coupling((2, 2, 1), n, BOARD, spline) for n in networks]
    )
    for method in (chain.forward, chain.inverse):
        function = tf.function(method, input_signature=[tf.TensorSpec([None, 2, 2, 1])])
        assert function(tf.ones([3, 2, 2, 1])).shape == (3, 2, 2, 1)


def test_networks_without_build_have_their_weights_found():
    coupling = nvp.Coupling((5,), Unbuilt(), np.arange(5) < 2, sinh_arcsinh)
    # Kernel, bias, and the slopes of PReLU.
    assert len(coupling.trainable_variables) == 3
    coupling.forward(tf.zeros([2, 5]))
    assert len(coupling.network.trainable_weights) == 3


def test_a_head_around_a_plain_network_takes_any_mask():
    network = keras.Sequential([keras.layers.Conv2D(2, 3, padding="same")])
    coupling = nvp.AffineCoupling((4, 4, 1), nvp.ShiftAndLogScale(network), BOARD)
    assert coupling.forward(tf.zeros([2, 4, 4, 1])).shape == (2, 4, 4, 1)


def test_a_flow_of_couplings_of_ones_own_learns_and_comes_back(tmp_path):
    keras.utils.set_random_seed(0)
    couplings = [
        nvp.Coupling(
            (2,),
            keras.Sequential([Dense(16, "gelu"), Dense(2 * 1)]),
            np.array(mask),
            positive_scale,
            name=f"c{i}",
        )
        for i, mask in enumerate([[True, False], [False, True]] * 2)
    ]
    base = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    flow = tfd.TransformedDistribution(base, nvp.FusedChain(couplings))
    x = np.random.default_rng(0).normal(size=[512, 2]).astype("float32")
    x[:, 1] = np.sinh(x[:, 0]) + 0.2 * x[:, 1]
    model = nvp.FlowModel(flow)
    model.compile(keras.optimizers.Adam(1e-2))
    losses = model.fit(x, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.5
    expected = model.predict(x[:8], verbose=0)
    model.save(tmp_path / "flow.keras")
    again = keras.saving.load_model(tmp_path / "flow.keras")
    np.testing.assert_allclose(again.predict(x[:8], verbose=0), expected, rtol=1e-5)
    nvp.export_saved_model(flow, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served"))
    scores = served.signatures["serving_default"](x=tf.constant(x[:8]))["log_prob"]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_a_network_that_was_frozen_and_is_no_more_has_weights_to_train():
    network = nvp.ShiftAndLogScale(nvp.MLP(4, hidden_units=(3,)))
    network.build((None, 2))
    network.trainable = False
    frozen = nvp.AffineCoupling((4,), network, CHANNELS)
    assert frozen.trainable_variables == ()
    network.trainable = True
    thawed = nvp.AffineCoupling((4,), network, CHANNELS, name="thawed")
    assert len(thawed.trainable_variables) == len(network.trainable_weights) > 0


def test_the_affine_checkerboard_coupling_is_equation_9():
    network, x = Fixed(2), normal(5, 4, 4, 2)
    coupling = nvp.AffineCoupling((4, 4, 2), network, BOARD)
    b = tf.cast(BOARD((4, 4, 2)), tf.float32)
    expected = b * x + (1 - b) * (x * 2.0 + 3.0)
    np.testing.assert_allclose(coupling.forward(x), expected, rtol=1e-6)
    np.testing.assert_array_equal(network.seen, b * x)
    mask = np.broadcast_to(BOARD((4, 4, 2)), [5, 4, 4, 1])
    np.testing.assert_array_equal(network.context, mask)
    # Half of 32 entries are scaled by 2.
    log_dets = coupling.forward_log_det_jacobian(x)
    np.testing.assert_allclose(log_dets, np.full(5, 16 * np.log(2.0)), rtol=1e-6)
    log_dets = coupling.inverse_log_det_jacobian(x)
    np.testing.assert_allclose(log_dets, np.full(5, -16 * np.log(2.0)), rtol=1e-6)


def test_channel_coupling_shows_the_network_only_what_passes_through():
    network, x = Fixed(2), normal(5, 4, 4, 4)
    y = nvp.AffineCoupling((4, 4, 4), network, CHANNELS).forward(x)
    np.testing.assert_array_equal(network.seen, x[..., :2])
    np.testing.assert_array_equal(y[..., :2], x[..., :2])
    np.testing.assert_allclose(y[..., 2:], x[..., 2:] * 2 + 3, rtol=1e-6)


def test_mask_functions_serve_events_of_other_sizes():
    network = nvp.ShiftAndLogScale(nvp.ResNet(6, filters=4, num_blocks=1))
    coupling, x = nvp.AffineCoupling((4, 4, 3), network, BOARD), normal(2, 6, 10, 3)
    again = coupling.inverse(tf.identity(coupling.forward(x)))
    np.testing.assert_allclose(again, x, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 4, 1), (4, 3), (2, 5, 5, 3)])
def test_events_of_another_shape_are_refused(shape):
    mask = np.eye(4, dtype=bool)[..., None]
    coupling = nvp.AffineCoupling((4, 4, 3), Fixed(3), mask)
    with pytest.raises(ValueError, match=r"x: expected shape \(..., 4, 4, 3\)"):
        coupling.forward(tf.zeros(shape))


def additive(network):
    return nvp.Coupling((4,), network, CHANNELS, nvp.Additive())


def affine(network):
    return nvp.AffineCoupling((4,), network, CHANNELS)


def spline(network):
    return nvp.Coupling((4,), network, CHANNELS, nvp.RationalQuadraticSpline(2))


@pytest.mark.parametrize(
    ("make", "network", "message"),
    [
        (additive, Dense(3), r"\(\.\.\., 2 \* 1\) .* got \(4, 3\)"),
        (additive, Lambda(lambda x: (x, x)), r"1\) .* got 2 outputs"),
        (spline, Dense(6), r"\(\.\.\., 2 \* 5\) .* got \(4, 6\)"),
        (affine, Fixed(1), "network: expected a shift of shape"),
        (
            affine,
            Lambda(lambda x: x),
            r"pair \(shift, log_scale\), got .*\(4, 2\) from",
        ),
        (affine, Lambda(lambda x: (x, x, x)), r"log_scale\), got .*3 outputs"),
    ],
)
def test_networks_with_other_outputs_are_refused(make, network, message):
    with pytest.raises(ValueError, match=message):
        make(network).forward(tf.zeros([4, 4]))
