"""Layers, bijectors and masks, and what they are given."""

import tensorflow as tf
import tensorflow_probability as tfp
from clear_errors import Entry, assert_numbers, given
from hypothesis import strategies as st

import tfp_realnvp as nvp

tfb = tfp.bijectors
just = st.just


def layer(make, *shape, **good):
    """A Keras layer, made and called on zeros of `shape`."""

    def call(**arguments):
        return make(**arguments)(tf.zeros(shape))

    return Entry(
        call,
        given(good),
        check=lambda r, a: assert_numbers(r),
    )


def made(make, check=lambda r, a: None, names=(), **good):
    return Entry(lambda **a: make(**a), given(good), check=check, names=names)


def _mlp_head():
    return nvp.ShiftAndLogScale(nvp.MLP(2, hidden_units=(2,), seed=0))


def _check_mask(result, arguments):
    assert result.dtype == tf.bool
    assert result.shape.rank == len(arguments["event_shape"])


def mask(make, event_shape, **more):
    return made(make, _check_mask, event_shape=event_shape, **more)


def _check_coupling(bijector, arguments):
    x = tf.zeros([2, *bijector.event_shape])
    assert_numbers(bijector.forward(x))


SHIFT = {"initial_gain": 0.5, "gain_regularizer": None}
NET = {"seed": 0, "condition_size": None}
NORM = {"batch_norm": "batch", "momentum": 0.9, "magnitude_regularizer": None}

ENTRIES = {
    "MLP": layer(
        nvp.MLP,
        2,
        3,
        output_units=2,
        hidden_units=(2,),
        activation="gelu",
        residual=False,
        **NET,
    ),
    "ResNet": layer(
        nvp.ResNet,
        1,
        4,
        4,
        1,
        output_channels=2,
        filters=2,
        num_blocks=1,
        crelu=True,
        **NORM,
        **NET,
    ),
    "ResidualBlock": layer(nvp.ResidualBlock, 1, 4, 4, 2, filters=2, seed=0, **NORM),
    "WeightNormConv2D": layer(
        nvp.WeightNormConv2D,
        1,
        4,
        4,
        2,
        filters=2,
        kernel_size=3,
        learn_magnitude=True,
        initial_magnitude=1.0,
        use_bias=True,
        magnitude_regularizer=None,
        direction_initializer=None,
    ),
    "ShiftAndLogScale": made(
        lambda **a: nvp.ShiftAndLogScale(**a),
        network=st.builds(lambda: nvp.MLP(2, hidden_units=(2,), seed=0)),
        **SHIFT,
    ),
    "BatchMoments": layer(nvp.BatchMoments, 2, 3, normalize_by="batch", momentum=0.9),
    "BatchNormalization": layer(
        nvp.BatchNormalization,
        2,
        3,
        normalize_by="batch",
        momentum=0.9,
        epsilon=1e-4,
        affine=True,
    ),
    "AffineCoupling": made(
        nvp.AffineCoupling,
        _check_coupling,
        event_shape=(2,),
        network=st.builds(_mlp_head),
        mask=nvp.channel_mask,
        condition_size=None,
        validate_args=False,
        name="coupling",
    ),
    "BatchNorm": made(
        nvp.BatchNorm,
        event_shape=(3,),
        moments=None,
        mask=None,
        epsilon=1e-4,
        validate_args=False,
        name="norm",
    ),
    "FactorOut": made(
        nvp.FactorOut,
        event_shape=(2, 2, 4),
        bijector=tfb.Scale(2.0),
        mask=nvp.channel_mask,
        validate_args=False,
        name="factor_out",
    ),
    "FusedChain": made(
        nvp.FusedChain, bijectors=[tfb.Scale(2.0)], validate_args=False, name="chain"
    ),
    "InvertibleConv": made(
        nvp.InvertibleConv,
        event_shape=(2, 2, 3),
        mixing=None,
        validate_args=True,
        name="conv",
    ),
    "PixelLogit": made(nvp.PixelLogit, alpha=0.05, validate_args=True, name="logit"),
    "Squeeze": made(nvp.Squeeze, validate_args=True, name="squeeze"),
    "checkerboard_mask": mask(nvp.checkerboard_mask, (4, 4, 1), invert=False),
    "channel_mask": mask(nvp.channel_mask, (4, 4, 2), invert=True),
    "alternating_mask": mask(nvp.alternating_mask, (5,), invert=False),
    "diagonal_mask": mask(nvp.diagonal_mask, (2, 2, 4)),
}
