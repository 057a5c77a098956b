"""Loads the server with concurrent clients, and checks each of its answers.

python examples/serve/load_test.py RUN/saved_model

Starts the server twice, with batching and with `--max-batch 1`, and compares. It exits
with 1 if there was an error, if the server's memory has grown by more than 5 %, or if
batching gives less than three times the throughput of one request at a time.
"""

import argparse
import asyncio
import base64
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import numpy as np
import psutil
from artifact import Artifact, find_artifact

DIFFERENT = 64
MAX_GROWTH = 0.05
MIN_RATIO = 3.0


@dataclasses.dataclass
class Result:
    """The latencies and errors that clients have seen."""

    seconds: float = 0.0
    latencies: list = dataclasses.field(default_factory=list)
    errors: list = dataclasses.field(default_factory=list)

    @property
    def throughput(self):
        return len(self.latencies) / self.seconds

    def __str__(self):
        p50, p99 = 1000 * np.percentile(self.latencies or [np.nan], [50, 99])
        return (
            f"{len(self.latencies)} answers, {len(self.errors)} errors, "
            f"{self.throughput:.0f} images/s, latency p50 {p50:.1f} ms, "
            f"p99 {p99:.1f} ms"
        )


def make_requests(path):
    """Returns bodies of one image each, and their expected log-densities."""
    artifact = Artifact(find_artifact(path))
    artifact.load(max_batch=1)
    metadata, random = artifact.metadata, np.random.default_rng(0)
    options, size = {}, metadata["condition_size"]
    shape = [DIFFERENT, *metadata["event_shape"]]
    if metadata["is_over_pixels"]:
        x = random.integers(0, 256, shape, np.uint8)
        encoded = (base64.b64encode(image.tobytes()).decode() for image in x)
        fields = [{"images": {"b64": text}} for text in encoded]
        options = {"num_draws": 1, "seed": (0, 0)}
    else:
        x = random.normal(size=shape).astype(metadata["dtype"])
        fields = [{"x": [row.tolist()]} for row in x]
    if size is not None:
        labels = random.integers(0, size, DIFFERENT)
        options["condition"] = np.eye(size)[labels]
        for field, label in zip(fields, labels.tolist(), strict=True):
            field["condition"] = [label]
    expected = artifact.score(x, **options)["log_prob"]
    return [json.dumps(field).encode() for field in fields], expected


async def load(url, clients, seconds, requests, expected):
    """Returns the `Result` of clients that send one request after the other."""
    parts = urllib.parse.urlsplit(url)
    wires = [
        f"POST /score HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(body)}"
        "\r\nContent-Type: application/json\r\n\r\n".encode()
        + body
        for body in requests
    ]
    result, start = Result(), time.perf_counter()

    async def client(index):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while (sent := time.perf_counter()) < start + seconds:
            index = (index + clients) % len(wires)
            writer.write(wires[index])
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
            body = await reader.readexactly(length)
            result.latencies.append(time.perf_counter() - sent)
            if problem := _problem(head, body, expected[index]):
                result.errors.append(problem)
        writer.close()

    async def guarded(index):
        try:
            await client(index)
        except (OSError, EOFError) as error:
            result.errors.append(repr(error))

    await asyncio.gather(*map(guarded, range(clients)))
    result.seconds = time.perf_counter() - start
    return result


@contextlib.contextmanager
def start_server(artifact, *options):
    """Yields the server's process and address when it is ready; stops it afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = pathlib.Path(__file__).with_name("server.py")
    command = [sys.executable, program, artifact, "--port", port, *options]
    process = subprocess.Popen(
        list(map(str, command)), env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    )
    try:
        url = f"http://127.0.0.1:{port}"
        while not is_ready(url):
            if process.poll() is not None:
                raise SystemExit(f"The server has ended with {process.returncode}.")
            time.sleep(0.2)
        yield process, url
        process.send_signal(signal.SIGTERM)
        if process.wait(timeout=120):
            raise SystemExit(f"The server has stopped with {process.returncode}.")
    finally:
        process.kill()


def is_ready(url):
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as response:
            return response.status == 200
    except OSError:  # This includes status 503.
        return False


def measure(name, url, clients, seconds, work):
    """Prints and returns the result of clients."""
    result = asyncio.run(load(url, clients, seconds, *work))
    print(f"{name}: {result}")
    for error in result.errors[:3]:
        print(f"  error: {error}")
    return result


def compare(artifact, clients, seconds, work):
    """Returns the targets that were missed."""
    with start_server(artifact) as (process, url):
        measure("warm-up", url, clients, seconds / 6, work)
        memory = psutil.Process(process.pid).memory_info
        before = memory().rss
        batched = measure(f"{clients} clients, batching", url, clients, seconds, work)
        after = memory().rss
    growth = after / before - 1
    print(
        f"  memory: {before / 2**20:.0f} MiB, then {after / 2**20:.0f}: {growth:+.1%}"
    )
    with start_server(artifact, "--max-batch=1") as (_, url):
        measure("warm-up", url, 1, seconds / 30, work)
        alone = measure("1 client, no batching", url, 1, seconds / 3, work)
        name = f"{clients} clients, no batching"
        unbatched = measure(name, url, clients, seconds / 3, work)
    ratio = batched.throughput / alone.throughput
    print(f"Batching: {ratio:.1f} times the throughput of one request at a time,")
    print(f"{batched.throughput / unbatched.throughput:.1f} times that of {name}.")
    missed = {
        "no error": any(r.errors for r in (batched, alone, unbatched)),
        f"memory growth up to {MAX_GROWTH:.0%}": growth > MAX_GROWTH,
        f"throughput of {MIN_RATIO:g} times": ratio < MIN_RATIO,
    }
    return [target for target, is_missed in missed.items() if is_missed]


def _problem(head, body, expected):
    if not head.startswith(b"HTTP/1.1 200 "):
        return f"{head.splitlines()[0].decode()}: {body[:200].decode()}"
    found = json.loads(body)["log_prob"]
    # Rounding depends on the size of the batch.
    if len(found) != 1 or not np.isclose(found[0], expected, rtol=1e-4, atol=1e-4):
        return f"expected log_prob [{expected}], got {found}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", help="a SavedModel, or a folder of its versions")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=30.0)
    quick = "half a second, judges errors only"
    parser.add_argument("--quick", action="store_true", help=quick)
    arguments = parser.parse_args()
    seconds = 0.5 if arguments.quick else arguments.seconds
    work = make_requests(arguments.artifact)
    missed = compare(arguments.artifact, arguments.clients, seconds, work)
    if arguments.quick:
        print("Too short to judge anything but errors.")
        missed = [target for target in missed if target == "no error"]
    print(f"Missed: {', '.join(missed)}." if missed else "All targets met.")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
