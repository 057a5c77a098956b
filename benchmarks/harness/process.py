"""A child process that calls functions by name and answers in lines of JSON."""

import importlib
import json
import os
import pathlib
import select
import subprocess
import sys
import traceback

FOLDER = pathlib.Path(__file__).resolve().parents[1]


class ChildError(Exception):
    """A child raised an error, died or took too long."""


class Process:
    """A child process. Close it, or use it in a `with` statement.

    Args:
      log: File for the child's output.
      python: Its interpreter, which may have other libraries than this one.
      **environment: Additional environment variables of the child.
    """

    def __init__(self, log, python=sys.executable, **environment):
        self._log = log
        paths = [str(FOLDER), str(FOLDER.parent), os.environ.get("PYTHONPATH", "")]
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "w", encoding="utf-8") as file:
            self._process = subprocess.Popen(
                [python, "-m", "harness.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                bufsize=0,
                env={
                    **os.environ,
                    "TF_CPP_MIN_LOG_LEVEL": "2",
                    "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                    **environment,
                },
            )

    def ask(self, function, *, time_limit=None, **arguments):
        """Returns the result of `function`, "module:name", called in the child.

        Raises:
          ChildError: If it fails, dies, or takes more than `time_limit` seconds.
        """
        pipe, received = self._process.stdout, b""
        try:
            line = json.dumps({"function": function, "arguments": arguments}) + "\n"
            self._process.stdin.write(line.encode())
            while not received.endswith(b"\n"):
                if not select.select([pipe], [], [], time_limit)[0]:
                    raise ChildError(f"{function}: no answer in {time_limit:.0f} s")
                chunk = os.read(pipe.fileno(), 65536)
                if not chunk:
                    raise BrokenPipeError
                received += chunk
        except BrokenPipeError:
            status = self._process.wait()
            last = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
            last = " | ".join(line.strip() for line in last[-4:] if line.strip())
            raise ChildError(f"process ended with status {status}: {last}") from None
        answer = json.loads(received)
        if "error" in answer:
            raise ChildError(answer["error"])
        return answer["value"]

    def close(self):
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def _answer_requests():
    # Output of libraries must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        module, _, name = request["function"].partition(":")
        try:
            function = getattr(importlib.import_module(module), name)
            answer = json.dumps({"value": function(**request["arguments"])})
        except Exception as error:
            traceback.print_exc()
            text = f"{type(error).__name__}: {error}"
            answer = json.dumps({"error": " ".join(text.split())[:500]})
        answers.write(answer + "\n")
        answers.flush()


if __name__ == "__main__":
    _answer_requests()
