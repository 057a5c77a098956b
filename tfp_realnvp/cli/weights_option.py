"""The option that all commands on a trained run share."""

from __future__ import annotations

import argparse


def add_weights_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--weights`, see `RunDirectory.weights`."""
    parser.add_argument(
        "--weights",
        choices=("last", "best", "average"),
        default="last",
        help="which: last, best (on the validation images), or the moving average",
    )
