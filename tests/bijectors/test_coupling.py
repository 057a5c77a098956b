import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import sinh_arcsinh

import tfp_realnvp as nvp

tfb = tfp.bijectors
tfd = tfp.distributions


@keras.saving.register_keras_serializable("tests")
def positive_scale(parameters):
    scale = 0.5 + tf.nn.softplus(parameters[..., 1])
    return tfb.Chain([tfb.Shift(parameters[..., 0]), tfb.Scale(scale)])


class Unbuilt(keras.layers.Layer):
    """A network without `build`, whose activation has a weight too."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(6, activation=keras.layers.PReLU())

    def call(self, inputs):
        return self.dense(inputs)


def test_parameters_go_to_the_entries_that_they_are_for():
    parameters = np.arange(6.0, dtype="float32")
    network = keras.layers.Lambda(lambda x: 0 * x[..., :1] + parameters)
    coupling = nvp.Coupling(
        (5,), network, np.arange(5) < 2, lambda p: tfb.Shift(p[..., 0] - 10 * p[..., 1])
    )
    y = coupling.forward(tf.zeros([2, 5]))
    np.testing.assert_allclose(y, [[0, 0, -10, -28, -46]] * 2)


def test_an_affine_transform_is_the_affine_coupling():
    def affine(p):
        return tfb.Chain([tfb.Shift(p[..., 0]), tfb.Scale(log_scale=p[..., 1])])

    dense = keras.layers.Dense(4, kernel_initializer="ones")
    pair = keras.layers.Lambda(lambda x: (dense(x)[..., ::2], dense(x)[..., 1::2]))
    x = tf.random.stateless_normal([3, 4], (0, 0))
    of_pairs = nvp.AffineCoupling((4,), pair, nvp.channel_mask)
    coupling = nvp.Coupling((4,), dense, nvp.channel_mask, affine)
    np.testing.assert_allclose(coupling.forward(x), of_pairs.forward(x), rtol=1e-6)
    np.testing.assert_allclose(
        coupling.forward_log_det_jacobian(x),
        of_pairs.forward_log_det_jacobian(x),
        rtol=1e-6,
    )


def test_what_passes_through_a_spatial_mask_keeps_its_bits():
    network = keras.layers.Conv2D(2 * 5, 3, padding="same")
    coupling = nvp.Coupling(
        (4, 4, 2), network, nvp.checkerboard_mask, nvp.RationalQuadraticSpline(2)
    )
    x = tf.random.stateless_normal([2, 4, 4, 2], (0, 0))
    y = coupling.forward(x)
    passes = np.broadcast_to(nvp.checkerboard_mask((4, 4, 2)), x.shape)
    np.testing.assert_array_equal(np.asarray(y)[passes], np.asarray(x)[passes])
    assert np.abs(y - x)[~passes].min() > 0


def test_a_spline_is_the_identity_at_first_and_outside_of_its_bound():
    x = tf.constant([-9.0, -2.9, 0.3, 2.9, 9.0])
    at_first = nvp.RationalQuadraticSpline(bound=3.0)(tf.zeros([5, 23]))
    np.testing.assert_allclose(at_first.forward(x), x, atol=1e-5)
    parameters = tf.random.stateless_normal([5, 23], (0, 0))
    bent = nvp.RationalQuadraticSpline(bound=3.0)(parameters)
    y = np.asarray(bent.forward(x))
    np.testing.assert_array_equal(y[[0, 4]], [-9.0, 9.0])
    assert np.abs(y - x)[1:4].min() > 1e-3
    log_det = bent.forward_log_det_jacobian(x, event_ndims=0)
    np.testing.assert_array_equal(np.asarray(log_det)[[0, 4]], [0.0, 0.0])


def test_networks_see_the_shape_that_splines_give_of_batches_of_any_size():
    couplings = [
        nvp.Coupling(
            (2, 2, 1),
            nvp.ResNet(8, filters=2, num_blocks=1),
            nvp.checkerboard_mask,
            nvp.RationalQuadraticSpline(num_bins=3),
        )
        for _ in range(2)
    ]
    chain = nvp.FusedChain(couplings)
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
    head = nvp.ShiftAndLogScale(network)
    coupling = nvp.AffineCoupling((4, 4, 1), head, nvp.checkerboard_mask)
    assert coupling.forward(tf.zeros([2, 4, 4, 1])).shape == (2, 4, 4, 1)
    with pytest.raises(ValueError, match="network: expected a layer .* condition"):
        nvp.AffineCoupling((4, 4, 1), head, nvp.checkerboard_mask, condition_size=3)


def test_a_flow_of_couplings_of_ones_own_learns_and_comes_back(tmp_path):
    def network():
        return keras.Sequential(
            [keras.layers.Dense(16, "gelu"), keras.layers.Dense(2 * 1)]
        )

    keras.utils.set_random_seed(0)
    couplings = [
        nvp.Coupling((2,), network(), np.array(mask), positive_scale, name=f"c{i}")
        for i, mask in enumerate([[True, False], [False, True]] * 2)
    ]
    flow = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2)), nvp.FusedChain(couplings)
    )
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
    frozen = nvp.freeze(flow)
    assert frozen.trainable_variables == ()
    np.testing.assert_allclose(frozen.log_prob(x[:8]), expected, rtol=1e-5)
    nvp.export_saved_model(flow, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served"))
    scores = served.signatures["serving_default"](x=tf.constant(x[:8]))["log_prob"]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (keras.layers.Dense(3), r"\(\.\.\., 2 \* 1\) .* got \(4, 3\)"),
        (keras.layers.Lambda(lambda x: (x, x)), r"1\) .* got 2 outputs"),
    ],
)
def test_networks_with_other_outputs_are_refused(network, message):
    coupling = nvp.Coupling((4,), network, nvp.channel_mask, nvp.Additive())
    with pytest.raises(ValueError, match=message):
        coupling.forward(tf.zeros([4, 4]))


def test_other_bad_arguments_are_refused():
    with pytest.raises(TypeError, match="transform: expected a function, got 3"):
        nvp.Coupling((4,), keras.layers.Dense(2), nvp.channel_mask, 3)
    spline = nvp.Coupling(
        (4,), keras.layers.Dense(6), nvp.channel_mask, nvp.RationalQuadraticSpline(2)
    )
    with pytest.raises(ValueError, match=r"\(\.\.\., 2 \* 5\) .* got \(2, 6\)"):
        spline.forward(tf.zeros([2, 4]))


def test_a_network_that_was_frozen_and_is_no_more_has_weights_to_train():
    network = nvp.ShiftAndLogScale(nvp.MLP(4, hidden_units=(3,)))
    network.build((None, 2))
    network.trainable = False
    frozen = nvp.AffineCoupling((4,), network, nvp.channel_mask)
    assert frozen.trainable_variables == ()
    network.trainable = True
    thawed = nvp.AffineCoupling((4,), network, nvp.channel_mask, name="thawed")
    assert len(thawed.trainable_variables) == len(network.trainable_weights) > 0


class Fixed(keras.layers.Layer):
    """Returns known shift and log-scale, whatever it sees."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels
        self.built = True

    def call(self, inputs):
        self.seen = inputs
        ones = tf.ones([*inputs.shape[:-1], self.channels])
        return 3.0 * ones, np.log(2.0) * ones


def test_the_affine_checkerboard_coupling_is_equation_9():
    network = Fixed(2)
    coupling = nvp.AffineCoupling((4, 4, 2), network, nvp.checkerboard_mask)
    x = tf.random.stateless_normal([5, 4, 4, 2], seed=[0, 0])
    b = tf.cast(nvp.checkerboard_mask((4, 4, 2)), tf.float32)
    expected = b * x + (1 - b) * (x * 2.0 + 3.0)
    np.testing.assert_allclose(coupling.forward(x), expected, rtol=1e-6)
    np.testing.assert_array_equal(network.seen, b * x)
    # Half of 32 entries are scaled by 2.
    log_dets = coupling.forward_log_det_jacobian(x)
    np.testing.assert_allclose(log_dets, np.full(5, 16 * np.log(2.0)), rtol=1e-6)
    log_dets = coupling.inverse_log_det_jacobian(x)
    np.testing.assert_allclose(log_dets, np.full(5, -16 * np.log(2.0)), rtol=1e-6)


def test_channel_coupling_shows_the_network_only_what_passes_through():
    network = Fixed(2)
    coupling = nvp.AffineCoupling((4, 4, 4), network, nvp.channel_mask)
    x = tf.random.stateless_normal([5, 4, 4, 4], seed=[0, 0])
    y = coupling.forward(x)
    np.testing.assert_array_equal(network.seen, x[..., :2])
    np.testing.assert_array_equal(y[..., :2], x[..., :2])
    np.testing.assert_allclose(y[..., 2:], x[..., 2:] * 2 + 3, rtol=1e-6)


def test_a_spatial_mask_reaches_networks_that_take_a_context():
    class Context(Fixed):
        def call(self, inputs, context):
            self.context = context
            return super().call(inputs)

    network = Context(1)
    coupling = nvp.AffineCoupling((4, 4, 1), network, nvp.checkerboard_mask)
    coupling.forward(tf.zeros([3, 4, 4, 1]))
    expected = np.broadcast_to(nvp.checkerboard_mask((4, 4, 1)), [3, 4, 4, 1])
    np.testing.assert_array_equal(network.context, expected)


def test_mask_functions_serve_events_of_other_sizes():
    network = nvp.ShiftAndLogScale(nvp.ResNet(6, filters=4, num_blocks=1))
    coupling = nvp.AffineCoupling((4, 4, 3), network, nvp.checkerboard_mask)
    x = tf.random.stateless_normal([2, 6, 10, 3], seed=[0, 0])
    again = coupling.inverse(tf.identity(coupling.forward(x)))
    np.testing.assert_allclose(again, x, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 4, 1), (4, 3), (2, 5, 5, 3)])
def test_events_of_another_shape_are_refused(shape):
    mask = np.eye(4, dtype=bool)[..., None]
    coupling = nvp.AffineCoupling((4, 4, 3), Fixed(3), mask)
    with pytest.raises(ValueError, match=r"x: expected shape \(..., 4, 4, 3\)"):
        coupling.forward(tf.zeros(shape))


def test_networks_with_the_wrong_number_of_outputs_are_refused():
    coupling = nvp.AffineCoupling((4, 4, 3), Fixed(2), nvp.checkerboard_mask)
    with pytest.raises(ValueError, match="network: expected a shift of shape"):
        coupling.forward(tf.zeros([1, 4, 4, 3]))


@pytest.mark.parametrize(
    ("outputs", "got"),
    [
        (lambda x: x, r"\(2, 2\) from"),
        (lambda x: (x, x, x), "3 outputs"),
    ],
)
def test_networks_that_return_no_pair_are_refused(outputs, got):
    network = keras.layers.Lambda(outputs)
    coupling = nvp.AffineCoupling((4,), network, nvp.channel_mask)
    with pytest.raises(
        ValueError, match=rf"the pair \(shift, log_scale\), got .*{got}"
    ):
        coupling.forward(tf.zeros([2, 4]))
