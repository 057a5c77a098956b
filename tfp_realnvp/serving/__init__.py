"""Flows as artifacts that TensorFlow serves without this package."""

from tfp_realnvp.serving.directory import next_version
from tfp_realnvp.serving.export import export_saved_model
from tfp_realnvp.serving.run_facts import run_facts

__all__ = ["export_saved_model", "next_version", "run_facts"]
