"""Training by maximum likelihood."""

from tfp_realnvp.training.flow_health import flow_health
from tfp_realnvp.training.flow_model import FlowModel
from tfp_realnvp.training.health_report import HealthReport

__all__ = ["FlowModel", "HealthReport", "flow_health"]
