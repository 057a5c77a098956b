"""Properties of every bijector in the table."""

import copy
import dataclasses
import functools
import inspect
import json
import math
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import CONSTRUCTORS, latents, make
from jacobian import jacobians

from tfp_realnvp import bijectors
from tfp_realnvp.flows.config import from_config, to_config

tfb = tfp.bijectors

TOLERANCE = {"float32": 1e-4, "float64": 1e-10}
LOG_DET_TOLERANCE = {"float32": 1e-4, "float64": 1e-9}

every_bijector = pytest.mark.parametrize("name", CONSTRUCTORS)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def configured(bijector):
    """The bijector made from a configuration, with the same weights."""
    again = from_config(json.loads(json.dumps(to_config(bijector))))
    for variable, value in zip(again.variables, bijector.variables, strict=True):
        variable.assign(value)
    return again


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda bijector: pickle.loads(pickle.dumps(bijector)),
    "config": configured,
}


@functools.cache
def shared(name, dtype="float32"):
    """A case for all tests that leave its weights as they are."""
    return make(name, dtype)


@functools.cache
def forward_of_any_batch(name):
    """The forward pass as one graph, for batches of any size."""
    case = shared(name)
    signature = tf.TensorSpec([None, *case.latent_shape], tf.float32)
    return tf.function(case.forward, input_signature=[signature])


def test_every_public_bijector_is_in_the_table():
    public = {
        value
        for value in map(vars(bijectors).get, bijectors.__all__)
        if isinstance(value, type) and issubclass(value, tfb.Bijector)
    }
    listed = [shared(name).bijector for name in CONSTRUCTORS]
    tested = {type(part) for one in listed for part in (one, *one.submodules)}
    assert {one for one in public - tested if not inspect.isabstract(one)} == set()
    assert len(public) > 6


@every_bijector
@both_dtypes
def test_inverse_undoes_forward_and_forward_inverse(name, dtype):
    case = shared(name, dtype)
    x = latents(case, 3, dtype=dtype)
    y = case.forward(x)
    # Copies are other tensors, so no cache can answer for the bijector.
    x_again = case.inverse(tf.identity(y))
    y_again = case.forward(tf.identity(x_again))
    assert x_again.dtype == y.dtype == dtype
    np.testing.assert_allclose(x_again, x, rtol=0, atol=TOLERANCE[dtype])
    scale = max(1.0, float(tf.reduce_max(tf.abs(y))))
    np.testing.assert_allclose(y_again, y, rtol=0, atol=TOLERANCE[dtype] * scale)


@every_bijector
@both_dtypes
def test_log_det_is_that_of_the_jacobian_from_autodiff(name, dtype):
    case = shared(name, dtype)
    x = latents(case, 2, dtype=dtype)
    _, expected = np.linalg.slogdet(jacobians(case.forward, x))
    y = case.forward(x)
    fldj = case.forward_log_det(tf.identity(x))
    ildj = case.inverse_log_det(tf.identity(y))
    # An entry that is the same for every event may come without the batch axis.
    tolerance = LOG_DET_TOLERANCE[dtype]
    for value in (fldj, -ildj):
        value = np.broadcast_to(value, expected.shape)
        np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)


@every_bijector
def test_any_leading_shape_gives_the_same_values(name):
    case = shared(name)
    flat = latents(case, 6)
    all_expected = case.forward(flat)
    for leading in ((), (1,), (2, 3), (2, 1, 2)):
        count = math.prod(leading)
        x = tf.reshape(flat[:count], [*leading, *case.latent_shape])
        y, expected = case.forward(x), all_expected[:count]
        assert y.shape == (*leading, *expected.shape[1:])
        np.testing.assert_allclose(
            tf.reshape(y, expected.shape), expected, rtol=1e-5, atol=1e-5
        )
        ildj = case.inverse_log_det(tf.identity(y))
        assert ildj.shape in (leading, ())


@every_bijector
def test_event_ndims_above_the_least_sums_the_log_det(name):
    case = shared(name)
    x = latents(case, 2, 3)
    per_event = case.forward_log_det(x)
    summed = case.forward_log_det(x, extra_ndims=1)
    expected = tf.reduce_sum(tf.broadcast_to(per_event, [2, 3]), axis=1)
    np.testing.assert_allclose(
        np.broadcast_to(summed, [2]), expected, rtol=1e-5, atol=1e-4
    )


@every_bijector
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_graph_and_xla_agree_with_eager(name, jit_compile):
    case = shared(name)

    def values(x):
        y = case.forward(x)
        return y, case.forward_log_det(x), case.inverse(y + 0.0)

    x = latents(case, 2)
    compiled = tf.function(values, jit_compile=jit_compile)
    for actual, expected in zip(compiled(x), values(x), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@every_bijector
def test_static_batch_size_may_be_unknown(name):
    case, forward = shared(name), forward_of_any_batch(name)
    for count in (1, 4):
        x = latents(case, count)
        expected = case.forward(x)
        np.testing.assert_allclose(forward(x), expected, rtol=1e-4, atol=1e-4)
    assert forward.get_concrete_function().output_shapes[1:] == expected.shape[1:]


@every_bijector
def test_event_shapes_are_inferred(name):
    case = shared(name)
    y = case.forward(latents(case, 2))
    bijector, data_shape, latent_shape = case.bijector, y.shape[1:], case.latent_shape
    assert bijector.forward_event_shape(latent_shape) == data_shape
    assert bijector.inverse_event_shape(data_shape) == latent_shape
    shape = bijector.forward_event_shape_tensor(tf.constant(latent_shape))
    assert list(shape) == list(data_shape)
    shape = bijector.inverse_event_shape_tensor(tf.constant(data_shape))
    assert list(shape) == list(latent_shape)


@every_bijector
def test_every_weight_is_listed_and_gets_a_gradient(name):
    case = shared(name)
    with tf.GradientTape() as tape:
        x = latents(case, 4)
        loss = tf.reduce_mean(tf.square(case.forward(x)))
        loss += tf.reduce_mean(case.forward_log_det(x))
    variables = case.bijector.trainable_variables
    gradients = tape.gradient(loss, variables)
    assert len(set(map(id, variables))) == len(variables)
    for variable, gradient in zip(variables, gradients, strict=True):
        assert gradient is not None and np.any(gradient), variable.name
    if "coupling" in name or "real_nvp" in name:
        assert variables


@every_bijector
def test_copy_is_the_same_function_with_the_same_weights(name):
    case = shared(name)
    copied = case.bijector.copy(name="copied")
    assert copied.name == "copied"
    x = latents(case, 2)
    np.testing.assert_array_equal(
        copied.forward(tf.identity(x), **case.kwargs), case.forward(x)
    )
    ours, theirs = case.bijector.variables, copied.variables
    assert [id(v) for v in ours] == [id(v) for v in theirs]


@every_bijector
@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_the_same_function_with_weights_of_its_own(name, how):
    case = shared(name)
    twin = dataclasses.replace(case, bijector=COPIES[how](case.bijector))
    assert type(twin.bijector) is type(case.bijector)
    x = latents(case, 2)
    expected = case.forward(x)
    np.testing.assert_array_equal(twin.forward(x), expected)
    for variable in twin.bijector.variables:
        variable.assign(variable + 1)
    np.testing.assert_array_equal(case.forward(tf.identity(x)), expected)


@every_bijector
def test_another_dtype_is_refused_if_there_are_weights(name):
    case = shared(name)
    if case.bijector.dtype is None:
        pytest.skip("takes any floating dtype")
    with pytest.raises((TypeError, ValueError), match="dtype float32 .* float64"):
        case.forward(latents(case, 2, dtype="float64"))
    # As everywhere in TFP, what has no dtype of TensorFlow's yet is converted.
    assert case.forward(latents(case, 2).numpy().astype("float64")).dtype == "float32"


@every_bijector
def test_parameters_are_the_constructor_arguments(name):
    bijector = shared(name).bijector
    arguments = inspect.signature(type(bijector)).parameters.values()
    named = {a.name for a in arguments if a.kind is not a.VAR_KEYWORD}
    assert named <= set(bijector.parameters)
    assert named == set(bijector.parameters) or len(named) < len(arguments)
    assert bijector.parameters["validate_args"] == bijector.validate_args


@every_bijector
def test_no_value_is_stale_after_a_weight_update(name):
    case = make(name)
    if not case.bijector.variables:
        pytest.skip("has no weights")
    if isinstance(case.bijector, tfb.Composition):
        pytest.skip("TFP's compositions keep a cache of their own")
    x = latents(case, 2)
    y = case.forward(x)
    kept = [case.inverse(y), case.inverse_log_det(y)]
    for variable in case.bijector.variables:
        variable.assign(variable * 1.1 + 0.01)
    for method, value in (
        (case.forward, x),
        (case.inverse, y),
        (case.forward_log_det, x),
        (case.inverse_log_det, y),
    ):
        fresh = method(tf.identity(value))
        np.testing.assert_array_equal(method(value), fresh)
    assert kept
