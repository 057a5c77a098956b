"""Command line."""

from tfp_realnvp.cli.main import main, make_parser

__all__ = ["main", "make_parser"]
