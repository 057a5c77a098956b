"""The `tfp-realnvp` command: its errors; the work is done elsewhere."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence

from tfp_realnvp.cli.parser import make_parser

# What TensorFlow prints before it reads what it is told to print.
_START_UP = re.compile(rb"WARNING: All log messages before absl|[IWE]\d{4} ")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    Args:
      argv: Arguments after the program's name; `None` takes them from `sys.argv`.
    """
    try:
        arguments = make_parser().parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    name = f"tfp-realnvp {arguments.command}"
    # Pictures go to files, and the backend of a notebook that this is started from
    # would be looked for here.
    os.environ["MPLBACKEND"] = "agg"
    try:
        with contextlib.ExitStack() as stack:
            if not (arguments.verbose or "TF_CPP_MIN_LOG_LEVEL" in os.environ):
                stack.enter_context(_without_start_up_lines())
            import tensorflow as tf

            tf.config.list_physical_devices()
        command = importlib.import_module(f"tfp_realnvp.cli.{arguments.command}")
        command.run(arguments)
    except (ValueError, OSError, ImportError) as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted.", file=sys.stderr)
        return 130
    except Exception as error:
        if not isinstance(error, tf.errors.OpError):
            raise
        print(f"{name}: error: {error.message}", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def _without_start_up_lines() -> Iterator[None]:
    """Leaves out what TensorFlow's C++ part prints as it is imported."""
    if "tensorflow" in sys.modules:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    sys.stderr.flush()
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(standard_error, 2)
            os.close(standard_error)
            held.seek(0)
            for line in held:
                if not _START_UP.match(line):
                    os.write(2, line)
