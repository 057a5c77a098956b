"""Progress, shown on a terminal or in a log file."""

from __future__ import annotations

import os
import shutil
import sys
import time

# Seconds between two lines.
_ON_A_TERMINAL, _IN_A_FILE = 0.2, 10.0


class ProgressLine:
    """A line that is rewritten in place on a terminal, and repeated in a log file."""

    def __init__(self) -> None:
        is_terminal = sys.stdout is not None and sys.stdout.isatty()
        self._rewrites = is_terminal and os.environ.get("TERM") != "dumb"
        self._every = _ON_A_TERMINAL if self._rewrites else _IN_A_FILE
        self._last = time.monotonic()
        self._width = 0

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next text."""
        return time.monotonic() - self._last >= self._every

    def show(self, text: str) -> None:
        """Shows a text, unless it is too early."""
        if not self.is_due:
            return
        self._last = time.monotonic()
        if self._rewrites:
            text = text[: shutil.get_terminal_size().columns - 1]
            print("\r" + text.ljust(self._width), end="", flush=True)
            self._width = len(text)
        else:
            print(text, flush=True)

    def end(self, text: str = "") -> None:
        """Clears the line and prints a last text, which stays."""
        if self._width:
            print("\r" + " " * self._width, end="\r", flush=True)
        self._width = 0
        if text:
            print(text, flush=True)


class ProgressBar:
    """Shows how many of `count` images are done, if they take long."""

    def __init__(self, count: int):
        self._count = count
        self._line = ProgressLine()

    def update(self, done: int) -> None:
        if done < self._count:
            self._line.show(f"{done:,} of {self._count:,} images")
        else:
            self._line.end()
