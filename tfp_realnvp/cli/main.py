"""The `tfp-realnvp` command: its arguments and errors; the work is done elsewhere."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import tensorflow as tf

from tfp_realnvp.cli import (
    evaluate,
    export,
    figures,
    gallery,
    health,
    sample,
    score,
    train,
)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line, with one subparser for each command."""
    parser = argparse.ArgumentParser(
        prog="tfp-realnvp",
        description="Real NVP for TensorFlow Probability: train and evaluate flows "
        "over images, draw samples and the paper's figures, export for servers.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for module in (train, evaluate, score, health, sample, figures, gallery, export):
        module.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    Args:
      argv: Arguments after the program's name; `None` takes them from `sys.argv`.
    """
    arguments = make_parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, OSError, ImportError) as error:
        print(f"tfp-realnvp {arguments.command}: error: {error}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"tfp-realnvp {arguments.command}: error: {error}", file=sys.stderr)
        return 1
    except tf.errors.OpError as error:
        print(
            f"tfp-realnvp {arguments.command}: error: {error.message}", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        print(f"tfp-realnvp {arguments.command}: interrupted.", file=sys.stderr)
        return 130
    return 0
