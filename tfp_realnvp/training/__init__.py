"""Training by maximum likelihood."""

from tfp_realnvp.training.flow_model import FlowModel

__all__ = ["FlowModel"]
