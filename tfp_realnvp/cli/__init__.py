"""Command line."""

from tfp_realnvp.cli.main import main
from tfp_realnvp.cli.parser import make_parser

__all__ = ["main", "make_parser"]
