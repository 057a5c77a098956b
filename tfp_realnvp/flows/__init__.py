"""Assembled flows and their presets."""

from tfp_realnvp.flows.architectures import CouplingStack, MultiScale
from tfp_realnvp.flows.call_arguments import condition_vectors, distribution_kwargs
from tfp_realnvp.flows.couplings import MLPConditioner, ResNetConditioner
from tfp_realnvp.flows.freeze import freeze
from tfp_realnvp.flows.image_flow import bits_per_dim, image_flow
from tfp_realnvp.flows.presets import PRESETS, preset_for
from tfp_realnvp.flows.real_nvp import RealNVPBijector

__all__ = [
    "PRESETS",
    "CouplingStack",
    "MLPConditioner",
    "MultiScale",
    "RealNVPBijector",
    "ResNetConditioner",
    "bits_per_dim",
    "condition_vectors",
    "distribution_kwargs",
    "freeze",
    "image_flow",
    "preset_for",
]
