"""Training by maximum likelihood with Keras."""

from tfp_realnvp.training.flow_layer import FlowLayer
from tfp_realnvp.training.flow_model import FlowModel

__all__ = ["FlowLayer", "FlowModel"]
