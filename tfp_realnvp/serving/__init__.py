"""Flows as artifacts that TensorFlow serves without this package."""

from tfp_realnvp.serving.directory import next_version
from tfp_realnvp.serving.export import export_saved_model
from tfp_realnvp.serving.origin import run_origin

__all__ = ["export_saved_model", "next_version", "run_origin"]
