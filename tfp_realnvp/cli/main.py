"""The `tfp-realnvp` command: its errors; the work is done elsewhere."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import NoReturn

from tfp_realnvp.cli.output import Output
from tfp_realnvp.cli.parser import make_parser

# What TensorFlow prints before it reads what it is told to print.
_START_UP = re.compile(rb"WARNING: All log messages before absl|[IWE]\d{4} ")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    Args:
      argv: Arguments after the program's name; `None` takes them from `sys.argv`.
    """
    output, errors = Output(sys.stdout), Output(sys.stderr)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            return _run(argv)
        finally:
            output.flush()
            errors.flush()


def _run(argv: Sequence[str] | None) -> int:
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
        with _clean_end():
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
    except _Terminated:
        print(f"{name}: terminated.", file=sys.stderr)
        return 143
    except Exception as error:
        if not isinstance(error, tf.errors.OpError):
            raise
        print(f"{name}: error: {error.message}", file=sys.stderr)
        return 1
    return 0


class _Terminated(BaseException):
    """SIGTERM, which removes what is half written as Ctrl-C does."""


@contextlib.contextmanager
def _clean_end() -> Iterator[None]:
    def end(*_: object) -> NoReturn:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
                    sys.stderr.write(line.decode(errors="replace"))
