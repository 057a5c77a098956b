"""Bijectors, forward from latents to data."""

from tfp_realnvp.bijectors.affine_coupling import AffineCoupling
from tfp_realnvp.bijectors.batch_norm import BatchNorm
from tfp_realnvp.bijectors.conditioned import Conditioned
from tfp_realnvp.bijectors.coupling import Coupling
from tfp_realnvp.bijectors.factor_out import FactorOut
from tfp_realnvp.bijectors.fused import FusedBijector
from tfp_realnvp.bijectors.fused_chain import FusedChain
from tfp_realnvp.bijectors.invertible_conv import ChannelMixing, InvertibleConv
from tfp_realnvp.bijectors.masks import (
    alternating_mask,
    channel_mask,
    checkerboard_mask,
    diagonal_mask,
)
from tfp_realnvp.bijectors.pixel_logit import PixelLogit
from tfp_realnvp.bijectors.squeeze import Squeeze
from tfp_realnvp.bijectors.transforms import (
    Additive,
    Elementwise,
    RationalQuadraticSpline,
)

__all__ = [
    "Additive",
    "AffineCoupling",
    "BatchNorm",
    "ChannelMixing",
    "Conditioned",
    "Coupling",
    "Elementwise",
    "FactorOut",
    "FusedBijector",
    "FusedChain",
    "InvertibleConv",
    "PixelLogit",
    "RationalQuadraticSpline",
    "Squeeze",
    "alternating_mask",
    "channel_mask",
    "checkerboard_mask",
    "diagonal_mask",
]
