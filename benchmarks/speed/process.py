"""The parent's side of a contender's process."""

from __future__ import annotations

import json
import os
import pathlib
import select
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from speed.machine import status_bytes

FOLDER = pathlib.Path(__file__).resolve().parents[1]


class ContenderError(Exception):
    """What a contender says, or that it died."""


class TooMuchMemory(ContenderError):
    """The contender was stopped because it took more memory than it may."""


class Process:
    """A contender in a process of its own; to be closed, or used in a `with`.

    Args:
      contender: Its name.
      log: File that takes what the process prints.
    """

    def __init__(self, contender: str, log: pathlib.Path):
        self.contender = contender
        self._log = log
        paths = [str(FOLDER), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "w", encoding="utf-8") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "speed.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
                bufsize=0,
            )

    def ask(
        self,
        do: str,
        *,
        may_take: Callable[[Process], bool] = lambda process: True,
        time_limit: float = 1800.0,
        **request: Any,
    ) -> dict[str, Any]:
        """Returns the answer to a request.

        Args:
          do: Name of a method of the worker.
          may_take: Asked again and again in the meantime whether the process may go on,
            for all the memory that it takes.
          time_limit: Seconds after which the process is given up.
          **request: The method's arguments.

        Raises:
          ContenderError: If it fails, dies or takes too long.
          TooMuchMemory: If `may_take` said no.
        """
        pipe, received = self._process.stdout, b""
        begin = time.monotonic()
        try:
            line = json.dumps({"do": do, **request}) + "\n"
            self._process.stdin.write(line.encode())
            while not received.endswith(b"\n"):
                if select.select([pipe], [], [], 0.1)[0]:
                    chunk = os.read(pipe.fileno(), 65536)
                    if not chunk:
                        raise BrokenPipeError
                    received += chunk
                elif not may_take(self):
                    raise TooMuchMemory(
                        f"stopped at {self.peak_bytes() / 2**30:.1f} GB"
                    )
                elif time.monotonic() - begin > time_limit:
                    raise ContenderError(f"no answer to {do!r} in {time_limit:.0f} s")
        except BrokenPipeError:
            status = self._process.wait()
            last = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
            last = " | ".join(line.strip() for line in last[-4:] if line.strip())
            raise ContenderError(
                f"process ended with status {status}: {last}"
            ) from None
        answer = json.loads(received)
        if "error" in answer:
            raise ContenderError(answer["error"])
        return answer

    def peak_bytes(self) -> int:
        """The most memory that the process had resident so far; 0 if not known."""
        return status_bytes(self._process.pid, "VmHWM") or 0

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
