"""Real NVP for TensorFlow Probability and Keras 3."""

from importlib.metadata import version as _version

from tfp_realnvp.bijectors import (
    Additive,
    AffineCoupling,
    BatchNorm,
    Conditioned,
    Coupling,
    Elementwise,
    FactorOut,
    FusedBijector,
    FusedChain,
    InvertibleConv,
    PixelLogit,
    RationalQuadraticSpline,
    Squeeze,
    alternating_mask,
    channel_mask,
    checkerboard_mask,
    diagonal_mask,
)
from tfp_realnvp.evaluation import score_images
from tfp_realnvp.flows import (
    PRESETS,
    CouplingStack,
    MLPConditioner,
    MultiScale,
    RealNVPBijector,
    ResNetConditioner,
    bits_per_dim,
    freeze,
    image_flow,
)
from tfp_realnvp.health import HealthReport, flow_health
from tfp_realnvp.nets import (
    MLP,
    BatchMoments,
    BatchNormalization,
    ChannelMixing,
    ResidualBlock,
    ResNet,
    ShiftAndLogScale,
    WeightNormConv2D,
)
from tfp_realnvp.serving import export_saved_model
from tfp_realnvp.training import FlowLayer, FlowModel

__version__ = _version("tfp_realnvp")

__all__ = [
    "MLP",
    "PRESETS",
    "Additive",
    "AffineCoupling",
    "BatchMoments",
    "BatchNorm",
    "BatchNormalization",
    "ChannelMixing",
    "Conditioned",
    "Coupling",
    "CouplingStack",
    "Elementwise",
    "FactorOut",
    "FlowLayer",
    "FlowModel",
    "FusedBijector",
    "FusedChain",
    "HealthReport",
    "InvertibleConv",
    "MLPConditioner",
    "MultiScale",
    "PixelLogit",
    "RationalQuadraticSpline",
    "RealNVPBijector",
    "ResNet",
    "ResNetConditioner",
    "ResidualBlock",
    "ShiftAndLogScale",
    "Squeeze",
    "WeightNormConv2D",
    "alternating_mask",
    "bits_per_dim",
    "channel_mask",
    "checkerboard_mask",
    "diagonal_mask",
    "export_saved_model",
    "flow_health",
    "freeze",
    "image_flow",
    "score_images",
]
