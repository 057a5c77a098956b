"""What holds for every bijector of the table."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import CONSTRUCTORS, latents, make

tfb = tfp.bijectors

TOLERANCE = {"float32": 1e-4, "float64": 1e-10}
LOG_DET_TOLERANCE = {"float32": 1e-4, "float64": 1e-9}

every_bijector = pytest.mark.parametrize("name", CONSTRUCTORS)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@every_bijector
@both_dtypes
def test_inverse_undoes_forward_and_forward_inverse(name, dtype):
    case = make(name, dtype)
    x = latents(case, 3, dtype=dtype)
    y = case.bijector.forward(x)
    # Copies are other tensors, so no cache can answer for the bijector.
    x_again = case.bijector.inverse(tf.identity(y))
    y_again = case.bijector.forward(tf.identity(x_again))
    assert x_again.dtype == y.dtype == dtype
    np.testing.assert_allclose(x_again, x, rtol=0, atol=TOLERANCE[dtype])
    scale = max(1.0, float(tf.reduce_max(tf.abs(y))))
    np.testing.assert_allclose(y_again, y, rtol=0, atol=TOLERANCE[dtype] * scale)


@every_bijector
@both_dtypes
def test_log_det_is_that_of_the_jacobian_from_autodiff(name, dtype):
    case = make(name, dtype)
    x = latents(case, 2, dtype=dtype)
    size = int(np.prod(case.latent_shape))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reshape(case.bijector.forward(x), [2, size])
    jacobian = tf.reshape(tape.batch_jacobian(y, x), [2, size, size])
    _, expected = np.linalg.slogdet(jacobian.numpy().astype(np.float64))
    ndims = len(case.latent_shape)
    y = case.bijector.forward(x)
    fldj = case.bijector.forward_log_det_jacobian(tf.identity(x), event_ndims=ndims)
    ildj = case.bijector.inverse_log_det_jacobian(tf.identity(y), event_ndims=ndims)
    # An entry that is the same for every event may come without the batch axis.
    tolerance = LOG_DET_TOLERANCE[dtype]
    for value in (fldj, -ildj):
        value = np.broadcast_to(value, expected.shape)
        np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)


@every_bijector
@pytest.mark.parametrize("leading", [(), (1,), (2, 3), (2, 1, 2)])
def test_any_leading_shape_gives_the_same_values(name, leading):
    case = make(name)
    flat = latents(case, int(np.prod(leading)))
    x = tf.reshape(flat, [*leading, *case.latent_shape])
    y, expected = case.bijector.forward(x), case.bijector.forward(flat)
    assert y.shape == (*leading, *expected.shape[1:])
    np.testing.assert_allclose(
        tf.reshape(y, expected.shape), expected, rtol=1e-5, atol=1e-5
    )
    ndims = len(case.latent_shape)
    ildj = case.bijector.inverse_log_det_jacobian(tf.identity(y), event_ndims=ndims)
    assert ildj.shape in (leading, ())


@every_bijector
def test_event_ndims_above_the_least_sums_the_log_det(name):
    case = make(name)
    x = latents(case, 2, 3)
    ndims = len(case.latent_shape)
    per_event = case.bijector.forward_log_det_jacobian(x, event_ndims=ndims)
    summed = case.bijector.forward_log_det_jacobian(x, event_ndims=ndims + 1)
    expected = tf.reduce_sum(tf.broadcast_to(per_event, [2, 3]), axis=1)
    np.testing.assert_allclose(
        np.broadcast_to(summed, [2]), expected, rtol=1e-5, atol=1e-4
    )


@every_bijector
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_graph_and_xla_agree_with_eager(name, jit_compile):
    case = make(name)
    ndims = len(case.latent_shape)

    def values(x):
        y = case.bijector.forward(x)
        return (
            y,
            case.bijector.forward_log_det_jacobian(x, event_ndims=ndims),
            case.bijector.inverse(y + 0.0),
        )

    x = latents(case, 2)
    compiled = tf.function(values, jit_compile=jit_compile)
    for actual, expected in zip(compiled(x), values(x), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@every_bijector
def test_static_batch_size_may_be_unknown(name):
    case = make(name)
    signature = tf.TensorSpec([None, *case.latent_shape], tf.float32)
    forward = tf.function(case.bijector.forward, input_signature=[signature])
    for count in (1, 4):
        x = latents(case, count)
        expected = case.bijector.forward(x)
        np.testing.assert_allclose(forward(x), expected, rtol=1e-4, atol=1e-4)
    assert forward.get_concrete_function().output_shapes[1:] == expected.shape[1:]


@every_bijector
def test_event_shapes_are_inferred(name):
    case = make(name)
    y = case.bijector.forward(latents(case, 2))
    data_shape = y.shape[1:]
    forward_shape = case.bijector.forward_event_shape(case.latent_shape)
    inverse_shape = case.bijector.inverse_event_shape(data_shape)
    assert forward_shape == data_shape
    assert inverse_shape == case.latent_shape
    shape = case.bijector.forward_event_shape_tensor(tf.constant(case.latent_shape))
    assert list(shape) == list(data_shape)
    shape = case.bijector.inverse_event_shape_tensor(tf.constant(data_shape))
    assert list(shape) == list(case.latent_shape)


@every_bijector
def test_every_weight_is_listed_and_gets_a_gradient(name):
    case = make(name)
    with tf.GradientTape() as tape:
        x = latents(case, 4)
        y = case.bijector.forward(x)
        ndims = len(case.latent_shape)
        fldj = case.bijector.forward_log_det_jacobian(x, event_ndims=ndims)
        loss = tf.reduce_mean(tf.square(y)) + tf.reduce_mean(fldj)
    variables = case.bijector.trainable_variables
    gradients = tape.gradient(loss, variables)
    assert len(set(map(id, variables))) == len(variables)
    silent = [
        v.name
        for v, g in zip(variables, gradients, strict=True)
        if g is None or not np.any(g)
    ]
    assert not silent
    if "coupling" in name or "real_nvp" in name:
        assert variables


@every_bijector
def test_copy_is_the_same_function_with_the_same_weights(name):
    case = make(name)
    copied = case.bijector.copy(name="copied")
    assert copied.name == "copied"
    x = latents(case, 2)
    np.testing.assert_array_equal(
        copied.forward(tf.identity(x)), case.bijector.forward(x)
    )
    ours, theirs = case.bijector.variables, copied.variables
    assert [id(v) for v in ours] == [id(v) for v in theirs]


@every_bijector
def test_two_bijectors_with_weights_of_their_own_are_not_equal(name):
    one, other = make(name).bijector, make(name).bijector
    assert one == one
    assert hash(one) == hash(one)
    if one.variables:
        assert one != other


@every_bijector
def test_no_value_is_stale_after_a_weight_update(name):
    case = make(name)
    bijector, ndims = case.bijector, len(case.latent_shape)
    if not bijector.variables:
        pytest.skip("has no weights")
    if isinstance(bijector, tfb.Composition):
        pytest.skip("tfb.Chain keeps a cache of its own, which is TFP's")
    x = latents(case, 2)
    y = bijector.forward(x)
    kept = [bijector.inverse(y), bijector.inverse_log_det_jacobian(y, ndims)]
    for variable in bijector.variables:
        variable.assign(variable * 1.1 + 0.01)
    for method in (bijector.forward, bijector.inverse):
        fresh = method(tf.identity(y if method == bijector.inverse else x))
        same_object = method(y if method == bijector.inverse else x)
        np.testing.assert_array_equal(same_object, fresh)
    for method, value in (
        (bijector.forward_log_det_jacobian, x),
        (bijector.inverse_log_det_jacobian, y),
    ):
        fresh = method(tf.identity(value), ndims)
        np.testing.assert_array_equal(method(value, ndims), fresh)
    assert kept
