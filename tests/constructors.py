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
        return self.bijector.forward_log_det_jacobian(
            x, len(self.latent_shape) + extra_ndims, **self.kwargs
        )

    def inverse_log_det(self, y: tf.Tensor, extra_ndims: int = 0) -> tf.Tensor:
        return self.bijector.inverse_log_det_jacobian(
            y, len(self.latent_shape) + extra_ndims, **self.kwargs
        )


LABEL = {"condition": 1}
FEATURES = {"condition": np.array([0.5, -1.0, 2.0])}


def _res_net(output_channels, dtype, condition_size=None):
    network = nvp.ResNet(
        output_channels,
        filters=4,
        num_blocks=1,
        condition_size=condition_size,
        seed=0,
        dtype=dtype,
    )
    return nvp.ShiftAndLogScale(network, initial_gain=0.5, dtype=dtype)


def _dense(units, dtype):
    network = keras.Sequential(
        [
            keras.layers.Dense(8, activation="tanh", dtype=dtype),
            keras.layers.Dense(units, dtype=dtype),
        ]
    )
    return nvp.ShiftAndLogScale(network, initial_gain=0.5, dtype=dtype)


def _plain(units, dtype, activation="tanh"):
    hidden = keras.layers.Dense(8, activation=activation, dtype=dtype)
    return keras.Sequential([hidden, keras.layers.Dense(units, dtype=dtype)])


@keras.saving.register_keras_serializable("tests")
def sinh_arcsinh(parameters):
    """A bijection of a user's own."""
    tailweight = tf.nn.softplus(1 + parameters[..., 1])
    return tfb.SinhArcsinh(parameters[..., 0], tailweight)


@keras.saving.register_keras_serializable("tests")
def dense_network(outputs, dtype, activation):
    """Networks of a user's own."""
    return _plain(outputs, dtype, activation)


def _spatial_coupling(shape, mask, dtype):
    network = _res_net(2 * shape[-1], dtype)
    return Case(nvp.AffineCoupling(shape, network, mask), shape)


def _batch_norm(shape, mask, dtype):
    moments = nvp.BatchMoments(dtype=dtype)
    return Case(nvp.BatchNorm(shape, moments, mask=mask), shape)


def _real_nvp(shape, dtype, kwargs=None, **sizes):
    flow = nvp.RealNVPBijector(
        shape, filters=4, num_blocks=1, seed=0, dtype=dtype, **sizes
    )
    return Case(flow, shape, kwargs or {})


def _vector(size, dtype, kwargs=None, name="real_nvp_bijector", **sizes):
    sizes = {"num_couplings": 4, "hidden_units": (8,), **sizes}
    flow = nvp.RealNVPBijector((size,), seed=0, dtype=dtype, name=name, **sizes)
    return Case(flow, (size,), kwargs or {})


def _inverted(mask):
    return functools.partial(mask, invert=True)


_ODD_MASK = np.random.default_rng(0).uniform(size=(4, 4, 3)) < 0.5
_COMB = np.arange(20) % 2 == 0

CONSTRUCTORS: dict[str, Callable[[str], Case]] = {
    "coupling_checkerboard": lambda dtype: _spatial_coupling(
        (4, 4, 3), nvp.checkerboard_mask, dtype
    ),
    "coupling_checkerboard_inverted": lambda dtype: _spatial_coupling(
        (8, 8, 1), _inverted(nvp.checkerboard_mask), dtype
    ),
    "coupling_any_mask": lambda dtype: _spatial_coupling((4, 4, 3), _ODD_MASK, dtype),
    "coupling_channel": lambda dtype: Case(
        nvp.AffineCoupling((4, 4, 4), _res_net(4, dtype), nvp.channel_mask), (4, 4, 4)
    ),
    "coupling_channel_inverted_odd": lambda dtype: Case(
        nvp.AffineCoupling((4, 4, 3), _res_net(2, dtype), _inverted(nvp.channel_mask)),
        (4, 4, 3),
    ),
    "coupling_vector": lambda dtype: Case(
        nvp.AffineCoupling((5,), _dense(6, dtype), nvp.channel_mask), (5,)
    ),
    "coupling_vector_comb": lambda dtype: Case(
        nvp.AffineCoupling((20,), _dense(20, dtype), _COMB), (20,)
    ),
    "coupling_additive": lambda dtype: Case(
        nvp.Coupling((5,), _plain(3, dtype), nvp.channel_mask, nvp.Additive()), (5,)
    ),
    "coupling_spline": lambda dtype: Case(
        nvp.Coupling(
            (4, 4, 3),
            keras.layers.Conv2D(3 * 8, 3, padding="same", dtype=dtype),
            nvp.checkerboard_mask,
            nvp.RationalQuadraticSpline(num_bins=3, bound=3.0),
        ),
        (4, 4, 3),
    ),
    "coupling_of_the_user": lambda dtype: Case(
        nvp.Coupling((4,), _plain(4, dtype), nvp.channel_mask, sinh_arcsinh), (4,)
    ),
    "batch_norm_image": lambda dtype: _batch_norm((4, 4, 3), None, dtype),
    "batch_norm_vector": lambda dtype: _batch_norm((5,), None, dtype),
    "batch_norm_checkerboard": lambda dtype: _batch_norm(
        (4, 4, 3), nvp.checkerboard_mask, dtype
    ),
    "batch_norm_channel": lambda dtype: _batch_norm((4, 4, 4), nvp.channel_mask, dtype),
    "squeeze": lambda dtype: Case(nvp.Squeeze(), (4, 4, 3)),
    "factor_out": lambda dtype: Case(
        nvp.FactorOut(
            (4, 4, 8),
            _real_nvp((4, 4, 4), dtype, num_scales=1).bijector,
            nvp.diagonal_mask,
        ),
        (4, 4, 8),
    ),
    "factor_out_of_tfp": lambda dtype: Case(
        nvp.FactorOut((6,), tfb.Scale(tf.constant(2.0, dtype))), (6,)
    ),
    "conditioned": lambda dtype: Case(
        nvp.Conditioned(_vector(4, dtype, condition_size=3).bijector, 1), (4,)
    ),
    "invertible_conv": lambda dtype: Case(
        nvp.InvertibleConv((2, 4, 3), nvp.ChannelMixing(dtype=dtype)), (2, 4, 3)
    ),
    "pixel_logit": lambda dtype: Case(nvp.PixelLogit(), (4, 4, 1)),
    "fused_chain": lambda dtype: Case(
        nvp.FusedChain(
            [
                nvp.PixelLogit(),
                _batch_norm((4, 4, 3), None, dtype).bijector,
                tfb.Scale(tf.constant(0.5, dtype)),
                _spatial_coupling((4, 4, 3), nvp.checkerboard_mask, dtype).bijector,
                tfb.Invert(nvp.Squeeze()),
            ]
        ),
        (2, 2, 12),
    ),
    "real_nvp_1_scale": lambda dtype: _real_nvp((4, 4, 3), dtype, num_scales=1),
    "real_nvp_3_scales": lambda dtype: _real_nvp((8, 8, 1), dtype, num_scales=3),
    "real_nvp_oblong_of_labels": lambda dtype: _real_nvp(
        (4, 8, 2), dtype, LABEL, num_scales=2, condition_size=3
    ),
    "real_nvp_moving": lambda dtype: _real_nvp(
        (4, 4, 3), dtype, num_scales=1, batch_norm="moving"
    ),
    "real_nvp_plus": lambda dtype: _real_nvp(
        (4, 4, 3), dtype, num_scales=2, invertible_conv=True, crelu=False
    ),
    "real_nvp_of_splines": lambda dtype: _real_nvp(
        (4, 4, 2),
        dtype,
        num_scales=2,
        transform=nvp.RationalQuadraticSpline(num_bins=3),
    ),
    "vector_of_the_user": lambda dtype: Case(
        nvp.RealNVPBijector(
            (4,),
            nvp.CouplingStack(2),
            functools.partial(dense_network, activation=keras.activations.tanh),
            nvp.Elementwise(sinh_arcsinh, num_parameters=2),
            dtype=dtype,
        ),
        (4,),
    ),
    "real_nvp_without_batch_norm": lambda dtype: _real_nvp(
        (4, 4, 3), dtype, num_scales=1, batch_norm=None
    ),
    "coupling_of_features": lambda dtype: Case(
        nvp.AffineCoupling(
            (4, 4, 3),
            _res_net(6, dtype, condition_size=3),
            nvp.checkerboard_mask,
            condition_size=3,
        ),
        (4, 4, 3),
        FEATURES,
    ),
    "vector": lambda dtype: _vector(5, dtype),
    "vector_of_two": lambda dtype: _vector(2, dtype, num_couplings=3),
    "vector_residual": lambda dtype: _vector(
        4, dtype, residual=True, hidden_units=(8, 8, 8), activation="tanh"
    ),
    "vector_batch_norm": lambda dtype: _vector(5, dtype, batch_norm="batch"),
    "vector_recompute": lambda dtype: _vector(
        5, dtype, batch_norm="batch", memory="recompute"
    ),
    "vector_of_labels": lambda dtype: _vector(5, dtype, LABEL, condition_size=3),
    "vector_of_features": lambda dtype: _vector(
        4, dtype, FEATURES, condition_size=3, batch_norm="moving"
    ),
    "vector_of_labels_in_chain": lambda dtype: Case(
        tfb.Chain(
            [
                tfb.Shift(tf.constant(0.5, dtype)),
                tfb.Invert(_vector(4, dtype, condition_size=3).bijector),
                nvp.BatchNorm((4,), nvp.BatchMoments(dtype=dtype)),
                _vector(4, dtype, condition_size=3, name="first").bijector,
            ],
            name="chain",
        ),
        (4,),
        {"invert_real_nvp_bijector": LABEL, "first": LABEL},
    ),
    "vectors_in_blockwise": lambda dtype: Case(
        tfb.Blockwise(
            [
                _vector(3, dtype, name="three").bijector,
                _vector(2, dtype, condition_size=3, name="two").bijector,
            ],
            block_sizes=[3, 2],
        ),
        (5,),
        {"two": LABEL},
    ),
    "real_nvp_in_chain": lambda dtype: Case(
        tfb.Chain(
            [
                tfb.Shift(tf.constant(0.5, dtype)),
                _real_nvp((4, 4, 3), dtype, num_scales=1).bijector,
            ],
            name="chain",
        ),
        (4, 4, 3),
    ),
    "vector_inverted": lambda dtype: Case(tfb.Invert(_vector(5, dtype).bijector), (5,)),
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
