"""Real NVP for TensorFlow Probability and Keras 3."""

import importlib
import sys
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

# Lazy, so the command line can answer without TensorFlow. But if Keras is imported
# already, `keras.saving.load_model` must find our classes: then import all at once.
if TYPE_CHECKING or not {"keras", "tensorflow"}.isdisjoint(sys.modules):
    from tfp_realnvp.bijectors import (
        Additive,
        AffineCoupling,
        BatchNorm,
        ChannelMixing,
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
    from tfp_realnvp.health import HealthReport
    from tfp_realnvp.health.flow_health import flow_health
    from tfp_realnvp.nets import (
        MLP,
        BatchMoments,
        BatchNormalization,
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

_PACKAGES = (
    "bijectors",
    "evaluation",
    "flows",
    "health",
    "nets",
    "serving",
    "training",
)


# A type checker would take any name for one that is there.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in (*__all__, *_PACKAGES):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        for package in _PACKAGES:
            module = importlib.import_module(f"{__name__}.{package}")
            public = {n: getattr(module, n) for n in module.__all__ if n in __all__}
            globals().update(public)
        return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
