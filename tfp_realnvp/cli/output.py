"""Output that no terminal or pipe can turn into an error."""

from __future__ import annotations

import contextlib
import os
from typing import Any

_PLAIN = str.maketrans({"±": "+/-", "·": "-"})


class Output:
    """A stream whose reader may go, and whose characters may be few.

    What cannot be shown is shown in plainer words, and what nobody reads is let go.

    Args:
      stream: `sys.stdout` or `sys.stderr`, `None` if it was closed at the start.
    """

    def __init__(self, stream: Any):
        # Else the next file that is opened would take its number.
        self._stream = stream or _nowhere()

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            plain = text.translate(_PLAIN).encode(encoding, "backslashreplace")
            self.write(plain.decode(encoding))
        except (OSError, ValueError):
            self._let_go()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._let_go()

    def isatty(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return self._stream.isatty()
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _let_go(self) -> None:
        nowhere = _nowhere()
        with contextlib.suppress(OSError, ValueError):
            # What Python still holds for the stream is written when it ends.
            os.dup2(nowhere.fileno(), self._stream.fileno())
        self._stream = nowhere


def _nowhere() -> Any:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
