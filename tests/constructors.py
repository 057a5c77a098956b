"""The table of named bijectors that every invariant is tested on."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfb = tfp.bijectors


@dataclasses.dataclass(frozen=True)
class Case:
    """A bijector, the shape of the latents it takes, and what else it is given."""

    bijector: tfb.Bijector
    latent_shape: tuple[int, ...]
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        return self.bijector.forward(x, **self.kwargs)

    def inverse(self, y: tf.Tensor) -> tf.Tensor:
        return self.bijector.inverse(y, **self.kwargs)

    def forward_log_det(self, x: tf.Tensor, extra_ndims: int = 0) -> tf.Tensor:
        ndims = len(self.latent_shape) + extra_ndims
        return self.bijector.forward_log_det_jacobian(x, ndims, **self.kwargs)

    def inverse_log_det(self, y: tf.Tensor) -> tf.Tensor:
        ndims = len(self.latent_shape)
        return self.bijector.inverse_log_det_jacobian(y, ndims, **self.kwargs)


MODES: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "eager": lambda function: function,
    "graph": functools.partial(tf.function, autograph=False),
    "xla": functools.partial(tf.function, autograph=False, jit_compile=True),
}
LABEL = {"condition": 1}
FEATURES = {"condition": np.array([0.5, -1.0, 2.0])}


def _plain(units, dtype, activation="tanh"):
    hidden = keras.layers.Dense(8, activation=activation, dtype=dtype)
    return keras.Sequential([hidden, keras.layers.Dense(units, dtype=dtype)])


def _affine(shape, network, mask, dtype, **condition):
    head = nvp.ShiftAndLogScale(network, initial_gain=0.5, dtype=dtype)
    return nvp.AffineCoupling(shape, head, mask, **condition)


@keras.saving.register_keras_serializable("tests")
def sinh_arcsinh(parameters):
    """A bijection of a user's own."""
    tailweight = tf.nn.softplus(1 + parameters[..., 1])
    return tfb.SinhArcsinh(parameters[..., 0], tailweight)


@keras.saving.register_keras_serializable("tests")
def dense_network(outputs, dtype, activation):
    """Networks of a user's own."""
    return _plain(outputs, dtype, activation)


def _image_coupling(mask, dtype, outputs=6, kwargs=None, **condition):
    sizes = {"filters": 4, "num_blocks": 1, "seed": 0}
    network = nvp.ResNet(outputs, dtype=dtype, **sizes, **condition)
    coupling = _affine((4, 4, 3), network, mask, dtype, **condition)
    return Case(coupling, (4, 4, 3), kwargs or {})


def _vector_coupling(size, outputs, mask, dtype):
    return Case(_affine((size,), _plain(outputs, dtype), mask, dtype), (size,))


def _batch_norm(shape, mask, dtype):
    moments = nvp.BatchMoments(dtype=dtype)
    return Case(nvp.BatchNorm(shape, moments, mask=mask), shape)


def _flow(shape, dtype, kwargs=None, **options):
    small = {"num_couplings": 4, "hidden_units": (8,)}
    if len(shape) == 3:
        small = {"filters": 4, "num_blocks": 1}
    options = {"seed": 0, **small, **options}
    return Case(nvp.RealNVPBijector(shape, dtype=dtype, **options), shape, kwargs or {})


def _of_user(dtype):
    tanh = keras.activations.tanh
    conditioner = functools.partial(dense_network, activation=tanh)
    transform = nvp.Elementwise(sinh_arcsinh, num_parameters=2)
    flow = nvp.RealNVPBijector(
        (4,), nvp.CouplingStack(2), conditioner, transform, dtype=dtype
    )
    return Case(flow, (4,))


def _factor_out(dtype):
    rest = _flow((4, 4, 4), dtype, num_scales=1).bijector
    return Case(nvp.FactorOut((4, 4, 8), rest, nvp.diagonal_mask), (4, 4, 8))


def _fused_chain(dtype):
    members = [
        nvp.PixelLogit(),
        _batch_norm((4, 4, 3), None, dtype).bijector,
        tfb.Scale(tf.constant(0.5, dtype)),
        _image_coupling(_BOARD, dtype).bijector,
        tfb.Invert(nvp.Squeeze()),
    ]
    return Case(nvp.FusedChain(members), (2, 2, 12))


def _chain(dtype):
    members = [
        tfb.Shift(tf.constant(0.5, dtype)),
        tfb.Invert(_flow((4,), dtype, condition_size=3).bijector),
        nvp.BatchNorm((4,), nvp.BatchMoments(dtype=dtype)),
        _flow((4,), dtype, condition_size=3, name="first").bijector,
    ]
    kwargs = {"invert_real_nvp_bijector": LABEL, "first": LABEL}
    return Case(tfb.Chain(members, name="chain"), (4,), kwargs)


def _blockwise(dtype):
    three = _flow((3,), dtype, name="three").bijector
    two = _flow((2,), dtype, condition_size=3, name="two").bijector
    blocks = tfb.Blockwise([three, two], block_sizes=[3, 2])
    return Case(blocks, (5,), {"two": LABEL})


def _coupling(shape, network, mask, *transform):
    return Case(nvp.Coupling(shape, network, mask, *transform), shape)


_BOARD = nvp.checkerboard_mask
_INVERTED = functools.partial(nvp.channel_mask, invert=True)
_ODD_MASK = np.random.default_rng(0).uniform(size=(4, 4, 3)) < 0.5
_COMB = np.arange(20) % 2 == 0
_SPLINE = nvp.RationalQuadraticSpline(num_bins=3, bound=3.0)

_ONE_SCALE = {"num_scales": 1}
_RESIDUAL = {"residual": True, "hidden_units": (8, 8, 8), "activation": "tanh"}
_MOVING = {"condition_size": 3, "batch_norm": "moving"}

# Shapes and options of `RealNVPBijector`, and what its methods are given.
_FLOWS: dict[str, tuple[tuple[int, ...], dict[str, Any], dict[str, Any]]] = {
    "real_nvp_1_scale": ((4, 4, 3), {"num_scales": 1}, {}),
    "real_nvp_3_scales": ((8, 8, 1), {"num_scales": 3}, {}),
    "real_nvp_oblong_of_labels": ((4, 8, 2), {"condition_size": 3}, LABEL),
    "real_nvp_moving": ((4, 4, 3), {"num_scales": 1, "batch_norm": "moving"}, {}),
    "real_nvp_without_batch_norm": ((4, 4, 3), {**_ONE_SCALE, "batch_norm": None}, {}),
    "real_nvp_plus": ((4, 4, 3), {"invertible_conv": True, "crelu": False}, {}),
    "real_nvp_of_splines": ((4, 4, 2), {"transform": _SPLINE}, {}),
    "vector": ((5,), {}, {}),
    "vector_of_two": ((2,), {"num_couplings": 3}, {}),
    "vector_mixed": ((5,), {"invertible_conv": True}, {}),
    "vector_residual": ((4,), _RESIDUAL, {}),
    "vector_recompute": ((5,), {"batch_norm": "batch", "memory": "recompute"}, {}),
    "vector_of_labels": ((5,), {"condition_size": 3}, LABEL),
    "vector_of_features": ((4,), _MOVING, FEATURES),
}


def _of_table(name, dtype):
    shape, options, kwargs = _FLOWS[name]
    return _flow(shape, dtype, kwargs, **options)


CONSTRUCTORS: dict[str, Callable[[str], Case]] = {
    "coupling_checkerboard": lambda dtype: _image_coupling(_BOARD, dtype),
    "coupling_any_mask": lambda dtype: _image_coupling(_ODD_MASK, dtype),
    "coupling_channel_inverted_odd": lambda dtype: _image_coupling(_INVERTED, dtype, 2),
    "coupling_of_features": lambda dtype: _image_coupling(
        _BOARD, dtype, kwargs=FEATURES, condition_size=3
    ),
    "coupling_vector": lambda dtype: _vector_coupling(5, 6, nvp.channel_mask, dtype),
    "coupling_vector_comb": lambda dtype: _vector_coupling(20, 20, _COMB, dtype),
    "coupling_additive": lambda dtype: _coupling(
        (5,), _plain(3, dtype), nvp.channel_mask, nvp.Additive()
    ),
    "coupling_spline": lambda dtype: _coupling(
        (4, 4, 3),
        keras.layers.Conv2D(3 * 8, 3, padding="same", dtype=dtype),
        _BOARD,
        _SPLINE,
    ),
    "coupling_of_the_user": lambda dtype: _coupling(
        (4,), _plain(4, dtype), nvp.channel_mask, sinh_arcsinh
    ),
    "batch_norm_image": lambda dtype: _batch_norm((4, 4, 3), None, dtype),
    "batch_norm_checkerboard": lambda dtype: _batch_norm((4, 4, 3), _BOARD, dtype),
    "batch_norm_channel": lambda dtype: _batch_norm((4, 4, 4), nvp.channel_mask, dtype),
    "squeeze": lambda dtype: Case(nvp.Squeeze(), (4, 4, 3)),
    "factor_out": _factor_out,
    "factor_out_of_tfp": lambda dtype: Case(
        nvp.FactorOut((6,), tfb.Scale(tf.constant(2.0, dtype))), (6,)
    ),
    "conditioned": lambda dtype: Case(
        nvp.Conditioned(_flow((4,), dtype, condition_size=3).bijector, 1), (4,)
    ),
    "invertible_conv": lambda dtype: Case(
        nvp.InvertibleConv((2, 4, 3), nvp.ChannelMixing(dtype=dtype)), (2, 4, 3)
    ),
    "pixel_logit": lambda dtype: Case(nvp.PixelLogit(), (4, 4, 1)),
    "fused_chain": _fused_chain,
    "vector_of_the_user": _of_user,
    "vector_of_labels_in_chain": _chain,
    "vectors_in_blockwise": _blockwise,
    **{name: functools.partial(_of_table, name) for name in _FLOWS},
}


def make(name: str, dtype: str = "float32", *, perturbed: bool = True) -> Case:
    """Returns the named case, with random weights instead of the initial ones."""
    case = CONSTRUCTORS[name](dtype)
    if perturbed:
        perturb(case.bijector)
    return case


def perturb(module: tf.Module, seed: int = 0) -> None:
    """Moves every variable of `module` by some random amount."""
    rng = np.random.default_rng(seed)
    for variable in module.variables:
        noise = rng.normal(scale=0.1, size=variable.shape)
        factor = rng.uniform(0.5, 1.5, size=variable.shape)
        is_variance = "variance" in variable.name
        variable.assign(variable * factor if is_variance else variable + noise)


def latents(case: Case, *leading: int, dtype: str = "float32") -> tf.Tensor:
    """Returns normal latents for the case, always the same."""
    rng = np.random.default_rng(1)
    return tf.constant(rng.normal(size=(*leading, *case.latent_shape)), dtype)
