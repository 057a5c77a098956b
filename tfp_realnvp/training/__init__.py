"""Training by maximum likelihood with Keras."""

from tfp_realnvp.training.flow_model import FlowModel

__all__ = ["FlowModel"]
