"""Command line."""

from tfp_realnvp.cli.main import main

__all__ = ["main"]
