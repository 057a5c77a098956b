"""The `tfp-realnvp` command, which reads its arguments without TensorFlow."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import inspect
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from tfp_realnvp.cli.options import COMMANDS


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    Args:
      argv: Arguments after the program's name; `None` takes them from `sys.argv`.
    """
    output, errors = Output(sys.stdout), Output(sys.stderr)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = _run(argv)
        finally:
            output.flush()
            errors.flush()
        if output.error is not None:
            return _failed("", f"error: standard output: {output.error}", 1)
        return status


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = make_parser().parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    command = arguments.command
    # Pictures go to files. A notebook that starts this command sets its own backend,
    # which may not be installed here.
    os.environ["MPLBACKEND"] = "agg"
    try:
        with _starting_up(verbose=arguments.verbose):
            import tensorflow as tf

            tf.config.list_physical_devices()
        own = command if command in ("train", "score") else "commands"
        module = importlib.import_module(f"tfp_realnvp.cli.{own}")
        with _ended_by_sigterm():
            getattr(module, command)(arguments)
    except (ValueError, OSError, ImportError) as error:
        return _failed(command, f"error: {error}", 2)
    except FloatingPointError as error:
        return _failed(command, f"error: {error}", 1)
    except KeyboardInterrupt:
        return _failed(command, "interrupted.", 130)
    except _Terminated:
        return _failed(command, "terminated.", 143)
    except Exception as error:
        if not isinstance(error, tf.errors.OpError):
            raise
        return _failed(command, f"error: {error.message}", 1)
    return 0


def _failed(command: str, what: str, status: int) -> int:
    print(f"{f'tfp-realnvp {command}'.rstrip()}: {what}", file=sys.stderr)
    return status


class _Terminated(BaseException):
    """SIGTERM, which like Ctrl-C removes files that are half written."""


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
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
def _starting_up(*, verbose: bool) -> Iterator[None]:
    """Hides what TensorFlow's C++ part prints as it is imported."""
    if verbose or "tensorflow" in sys.modules or "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    sys.stderr.flush()
    before = os.dup(2)
    with _nowhere() as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # Without the usage: that of `train` alone fills a screen.
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line, with one subparser for each command."""
    parser = _Parser(
        prog="tfp-realnvp",
        description="Real NVP for TensorFlow Probability: train and evaluate flows "
        "over images, draw samples and the paper's figures, export flows for servers.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for add_options in COMMANDS:
        summary, _, description = (inspect.getdoc(add_options) or "").partition("\n\n")
        command = commands.add_parser(
            add_options.__name__, help=summary, description=description or summary
        )
        add_options(command)
        command.add_argument(
            "--verbose", action="store_true", help="show what TensorFlow prints"
        )
    return parser


class Output:
    """A stream whose terminal or pipe cannot make the program fail.

    Characters that it cannot show are replaced, and output that nobody reads is
    dropped. Any other failure, such as a full disk, is only kept as `error`.
    """

    def __init__(self, stream: Any):
        # None if it was closed before the start: another file must take its number.
        self._stream = stream or _nowhere()
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            plain = text.replace("±", "+/-").replace("·", "-")
            self.write(plain.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError) as error:
            self._let_go(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._let_go(error)

    def isatty(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return self._stream.isatty()
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _let_go(self, error: Exception) -> None:
        nobody_reads = (errno.EPIPE, errno.EBADF)
        if isinstance(error, OSError) and error.errno not in nobody_reads:
            self.error = self.error or error
        nowhere = _nowhere()
        with contextlib.suppress(OSError, ValueError):
            # At its end Python writes what it still holds for the stream.
            os.dup2(nowhere.fileno(), self._stream.fileno())
        self._stream = nowhere


def _nowhere() -> Any:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
