"""Starting the processes of a cluster on this machine."""

import json
import os
import socket
import subprocess
import sys


def start_workers(count, *arguments):
    """Starts Python `count` times, each as one worker of a cluster."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(count)]
    configs = [
        {"cluster": {"worker": workers}, "task": {"type": "worker", "index": i}}
        for i in range(count)
    ]
    return [start(*arguments, TF_CONFIG=json.dumps(config)) for config in configs]


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process, returncode=0):
    """Returns what a process has printed, when it has ended as expected."""
    output, _ = process.communicate(timeout=600)
    assert process.returncode == returncode, output[-3000:]
    return output


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
