"""Flows, and what they and the methods of their bijectors are given."""

import numpy as np
import small_subjects as small
import tensorflow as tf
from bad_configs import configs, mutated_flow_configs
from bad_values import arrays, junk, tensors
from clear_errors import Entry, assert_numbers
from hypothesis import strategies as st
from layer_entries import made

import tfp_realnvp as nvp
from tfp_realnvp.flows.config import from_config, to_config

just = st.just

FILLS = (0, 1, -1, 255, 1e30, float("nan"), float("inf"))
# TFP's own methods turn what they are given into tensors, with TensorFlow's errors.
values = st.one_of(arrays(fills=FILLS), tensors, junk)


def _check_real_nvp(bijector, arguments):
    x = tf.zeros([1, *bijector.event_shape], bijector.dtype)
    kwargs = {"condition": [0]} if bijector.condition_size else {}
    y = bijector.forward(x, **kwargs)
    assert y.shape == x.shape
    assert_numbers(y)


def _check_flow(flow, arguments):
    assert flow.event_shape.rank == 3


def method(name, method, *shape):
    """A method of a bijector, for values of any shape, dtype and size."""

    def call(value, **kwargs):
        return getattr(small.bijector(name), method)(value, **kwargs)

    def check(result, arguments):
        value = _as_numbers(arguments["value"])
        # What is not finite, or overflows float32, stays so.
        if np.isfinite(value).all() and np.abs(value).max(initial=0) < 1e9:
            assert_numbers(result)

    good = {"value": just(np.full([2, *shape], 0.5, np.float32))}
    if method.endswith("jacobian"):
        good["event_ndims"] = just(len(shape))
    if name == "vectors_by_class":
        good["condition"] = just([0, 1])
    bad = {"value": values, "event_ndims": junk, "condition": junk}
    words = (
        "ndims",
        "x",
        "y",
        "network",
        "pixels",
        "input",
        "shape",
        "rank",
        "event",
        "dtype",
    )
    return Entry(call, good, bad, check, names=words, by_tfp=True)


def _log_prob(flow, value, condition=None):
    kwargs = {} if condition is None else {"bijector_kwargs": {"condition": condition}}
    return flow().log_prob(value, **kwargs)


def _as_numbers(value):
    """Returns the numbers that TensorFlow makes of a value: NaN of None."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        return value.astype(np.float64)
    return np.asarray(tf.convert_to_tensor(value), np.float64)


def density(flow, *shape, condition=None):
    good = {"value": just(np.full([2, *shape], 0.5, np.float32))}
    if condition is not None:
        good["condition"] = just(condition)

    def check(result, arguments):
        array = _as_numbers(arguments["value"])
        # Vector flows do not check their values: NaN is the density of NaN.
        if flow is small.flow or np.isfinite(array).all():
            assert_numbers(result)

    # Images of any size go through the flow; it is TFP's base that has only one.
    words = ("x", "y", "pixels", "input", "shape", "dtype", "event")
    words += ("Incompatible shapes",)
    return Entry(
        lambda **a: _log_prob(flow, **a),
        good,
        {"value": values},
        check,
        names=words,
        by_tfp=True,
    )


def _check_bits(result, arguments):
    if isinstance(arguments["log_prob"], tf.RaggedTensor):
        # Each entry becomes its own, and NumPy has no such arrays.
        assert isinstance(result, tf.RaggedTensor)
        return
    if np.isfinite(np.asarray(arguments["log_prob"], np.float64)).all():
        assert_numbers(result)


def _check_config(result, arguments):
    assert result is None or isinstance(result, (bool, int, float, str, list, dict)), (
        type(result)
    )


def _split_latent(**arguments):
    return small.bijector("real_nvp").split_latent(**arguments)


def _merge_latent(**arguments):
    return small.bijector("real_nvp").merge_latent(**arguments)


ENTRIES = {
    "RealNVPBijector of images": made(
        nvp.RealNVPBijector,
        _check_real_nvp,
        names=("DType",),
        event_shape=(4, 4, 1),
        num_scales=1,
        filters=2,
        num_blocks=1,
        condition_size=None,
        batch_norm="auto",
        momentum=0.9,
        l2=5e-5,
        seed=0,
        dtype=tf.float32,
        network_dtype=None,
        memory="stored",
        validate_args=False,
        name="real_nvp",
    ),
    "RealNVPBijector of vectors": made(
        nvp.RealNVPBijector,
        _check_real_nvp,
        names=("DType",),
        event_shape=(3,),
        num_couplings=2,
        hidden_units=(2,),
        activation="gelu",
        residual=False,
        condition_size=3,
        batch_norm=None,
        momentum=0.9,
        l2=5e-5,
        seed=0,
        dtype=tf.float64,
        network_dtype=None,
        memory="recompute",
        validate_args=True,
        name="real_nvp",
    ),
    "image_flow": made(
        nvp.image_flow,
        _check_flow,
        preset=None,
        event_shape=(4, 4, 1),
        base=None,
        alpha=0.05,
        validate_args=True,
        name="flow",
        num_scales=1,
        filters=2,
        num_blocks=1,
    ),
    "bits_per_dim": Entry(
        nvp.bits_per_dim,
        {"log_prob": just(np.float32([1.0])), "event_shape": just((2, 2, 3))},
        check=_check_bits,
    ),
    "freeze": Entry(nvp.freeze, {"flow": just(small.vectors())}),
    "split_latent": Entry(
        _split_latent,
        {"x": just(np.zeros([2, 4, 4, 1], np.float32))},
        {"x": values},
        by_tfp=True,
    ),
    "merge_latent": Entry(
        _merge_latent,
        {"latents": just([np.zeros([1, 2, 2, 2], np.float32)] * 2)},
        names=("iterable", "iterate"),
        by_tfp=True,
    ),
    "to_config": Entry(
        to_config,
        {"value": just(small.vectors())},
        check=_check_config,
        names=("flow",),
    ),
    "from_config": Entry(
        from_config,
        {"config": just(small.flow_config())},
        {"config": st.one_of(configs, mutated_flow_configs(), mutated_flow_configs())},
        names=("flow",),
    ),
    "log_prob": density(small.flow, 4, 4, 1),
    "log_prob of vectors": density(small.vectors, 3),
    "log_prob by class": density(lambda: small.vectors(3), 3, condition=[0, 1]),
    **{
        f"{name}.{m}": method(name, m, *shape)
        for name, shape in (
            ("coupling", (2,)),
            ("batch_norm", (3,)),
            ("factor_out", (2, 2, 4)),
            ("invertible_conv", (1, 2, 2, 3)),
            ("squeeze", (4, 4, 4)),
            ("pixel_logit", ()),
            ("chain", (4, 4, 4)),
            ("real_nvp", (4, 4, 1)),
            ("vectors", (3,)),
            ("vectors_by_class", (3,)),
        )
        for m in (
            "forward",
            "inverse",
            "forward_log_det_jacobian",
            "inverse_log_det_jacobian",
        )
    },
}
