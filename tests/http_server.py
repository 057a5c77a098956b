"""The server of `examples/serve`, in a process of its own."""

import contextlib
import http.client
import json
import pathlib
import subprocess
import sys
import time

from workers import free_ports

SERVE = pathlib.Path(__file__).resolve().parents[1] / "examples" / "serve"
LIMITS = {
    "lanes": 1,
    "max-batch": 4,
    "max-queued": 8,
    "max-images": 6,
    "max-draws": 20_000,
    "max-body": 20_000,
    "body-seconds": 2,
}


class Server:
    """A server in a process of its own, and what it answers."""

    def __init__(self, artifact, log, **options):
        (self.port,) = free_ports(1)
        options = {"port": self.port, **options}
        options = [f"--{name}={value}" for name, value in options.items()]
        self.log = log
        with log.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, SERVE / "server.py", artifact, *options],
                stdout=stream,
                stderr=stream,
            )

    def call(self, method, path, body=None, **kwargs):
        """Returns status, JSON and headers of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request(method, path, body, **kwargs)
            answer = connection.getresponse()
            # NaN is no JSON, although Python reads it.
            read = json.loads(answer.read(), parse_constant=_refuse)
            return answer.status, read, answer.headers

    def post(self, path, **fields):
        return self.call("POST", path, json.dumps(fields))

    def ready(self):
        """Waits, and returns what /health and /score have answered until then."""
        seen = []
        while self.process.poll() is None:
            with contextlib.suppress(ConnectionError):
                seen.append((self.call("GET", "/health")[:2], self.post("/score")[0]))
                if seen[-1][0][0] == 200:
                    return seen
            time.sleep(0.05)
        raise AssertionError(self.log.read_text()[-2000:])


def _refuse(constant):
    raise AssertionError(f"an answer holds {constant}")
