"""Flows as artifacts that TensorFlow serves without this package."""

from tfp_realnvp.serving.export import export_saved_model

__all__ = ["export_saved_model"]
