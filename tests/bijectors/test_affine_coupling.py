import keras
import numpy as np
import pytest
import tensorflow as tf
from constructors import perturb

import tfp_realnvp as nvp


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


def test_checkerboard_coupling_is_equation_9():
    network = Fixed(2)
    coupling = nvp.AffineCoupling((4, 4, 2), network, nvp.checkerboard_mask)
    x = tf.random.stateless_normal([5, 4, 4, 2], seed=[0, 0])
    b = tf.cast(nvp.checkerboard_mask((4, 4, 2)), tf.float32)
    expected = b * x + (1 - b) * (x * 2.0 + 3.0)
    np.testing.assert_allclose(coupling.forward(x), expected, rtol=1e-6)
    np.testing.assert_array_equal(network.seen, b * x)
    # Half of 32 entries are scaled by 2.
    ldj = coupling.forward_log_det_jacobian(x)
    np.testing.assert_allclose(ldj, np.full(5, 16 * np.log(2.0)), rtol=1e-6)


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


def test_what_passes_through_keeps_its_bits():
    network = nvp.ShiftAndLogScale(
        nvp.ResNet(6, filters=4, num_blocks=1), initial_gain=1.0
    )
    coupling = nvp.AffineCoupling((4, 4, 3), network, nvp.checkerboard_mask)
    perturb(coupling)
    x = tf.random.stateless_normal([5, 4, 4, 3], seed=[0, 0])
    mask = np.broadcast_to(nvp.checkerboard_mask((4, 4, 3)), x.shape)
    y = coupling.forward(x).numpy()
    np.testing.assert_array_equal(y[mask], x.numpy()[mask])
    assert not np.any(y[~mask] == x.numpy()[~mask])


def test_mask_functions_serve_events_of_other_sizes():
    network = nvp.ShiftAndLogScale(nvp.ResNet(6, filters=4, num_blocks=1))
    coupling = nvp.AffineCoupling((4, 4, 3), network, nvp.checkerboard_mask)
    x = tf.random.stateless_normal([2, 6, 10, 3], seed=[0, 0])
    again = coupling.inverse(tf.identity(coupling.forward(x)))
    np.testing.assert_allclose(again, x, atol=1e-5)


def test_mixed_precision_networks_leave_the_flow_in_float32():
    network = nvp.ShiftAndLogScale(
        nvp.ResNet(6, filters=4, num_blocks=1, dtype="mixed_bfloat16"),
        initial_gain=1.0,
    )
    coupling = nvp.AffineCoupling((4, 4, 3), network, nvp.checkerboard_mask)
    x = tf.random.stateless_normal([2, 4, 4, 3], seed=[0, 0])
    y = coupling.forward(x)
    assert y.dtype == coupling.forward_log_det_jacobian(x).dtype == tf.float32
    # The network rounds alike in both directions, so the flow still inverts exactly.
    np.testing.assert_allclose(coupling.inverse(tf.identity(y)), x, atol=1e-5)


@pytest.mark.parametrize("value", [True, False])
def test_masks_that_leave_nothing_to_do_are_refused(value):
    with pytest.raises(ValueError, match=f"mask: .* got {value} everywhere"):
        nvp.AffineCoupling((4, 4, 3), Fixed(3), np.full([4, 4, 1], value))


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
        (lambda x: x, "Tensor"),
        (lambda x: (x, x, x), "3 outputs"),
        (lambda x: {"shift": x, "log_scale": x}, "dict"),
    ],
)
def test_networks_that_return_no_pair_are_refused(outputs, got):
    network = keras.layers.Lambda(outputs)
    coupling = nvp.AffineCoupling((4,), network, nvp.channel_mask)
    with pytest.raises(
        ValueError, match=rf"the pair \(shift, log_scale\), got .*{got}"
    ):
        coupling.forward(tf.zeros([2, 4]))
