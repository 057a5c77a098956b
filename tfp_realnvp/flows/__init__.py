"""Assembled flows and their presets."""

from tfp_realnvp.flows.image_flow import image_flow
from tfp_realnvp.flows.presets import PRESETS
from tfp_realnvp.flows.real_nvp import RealNVPBijector

__all__ = ["PRESETS", "RealNVPBijector", "image_flow"]
