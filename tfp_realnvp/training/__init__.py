"""Training by maximum likelihood."""

from tfp_realnvp.training.flow_model import FlowModel
from tfp_realnvp.training.units import bits_per_dim

__all__ = ["FlowModel", "bits_per_dim"]
