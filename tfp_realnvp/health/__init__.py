"""Whether the numbers of a flow can be trusted."""

from tfp_realnvp.health.flow_health import flow_health
from tfp_realnvp.health.health_report import HealthReport

__all__ = ["HealthReport", "flow_health"]
