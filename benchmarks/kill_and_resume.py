"""Kills a training run at random moments and checks that nothing is lost.

    python benchmarks/kill_and_resume.py --kills 10

Trains once in one piece, and once more killed with SIGKILL after random times and
resumed by the same command each time. Both must end with bit-identical weights.
"""

import argparse
import json
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

import h5py
import numpy as np

# Tiny, for it is the killing that matters here.
COMMAND = [sys.executable, "-m", "tfp_realnvp", "train", "--filters", "4"]
COMMAND += ["--num-blocks", "1", "--average-decay", "0.99", "--checkpoint-steps", "7"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        runs = pathlib.Path(folder)
        command = [*COMMAND, "--epochs", str(arguments.epochs), "--runs", folder]
        begin = time.monotonic()
        subprocess.run([*command, "--name", "whole"], check=True, capture_output=True)
        seconds = time.monotonic() - begin
        print(f"In one piece: {seconds:.0f} s.", flush=True)
        kills, rounds, worst = 0, 0, 0.0
        while kills < arguments.kills:
            rounds += 1
            name = f"cut-{rounds}"
            while not run_for(
                [*command, "--name", name, "--resume"],
                rng.uniform(0.1, 0.7) * seconds if kills < arguments.kills else None,
            ):
                kills += 1
                at = step_of(runs / name / "checkpoint.npz")
                print(f"Kill {kills}, run {rounds}: {at}.", flush=True)
            worst = max(worst, difference(runs / "whole", runs / name))
        leftovers = sorted(p.name for p in runs.glob("*/.*"))
        print(f"Files left over: {leftovers or 'none'}.")
    print(f"{kills} kills, largest difference of a weight: {worst}.")
    return 1 if worst else 0


def run_for(command, seconds):
    """Returns whether the command ended before `seconds` of training were over."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    output, timer = [], None
    for line in process.stdout:
        output.append(line)
        if seconds is not None and line.startswith("Replicas"):
            timer = threading.Timer(seconds, process.kill)
            timer.start()
    process.wait()
    if timer is not None:
        timer.cancel()
    if process.returncode == -signal.SIGKILL:
        return False
    if process.returncode:
        raise SystemExit("".join(output))
    return True


def difference(first, second):
    found = []
    for name in ("model", "best", "average"):
        a, b = (weights(run / f"{name}.weights.h5") for run in (first, second))
        if a.keys() != b.keys():
            raise SystemExit(f"{name}: the files hold different weights.")
        found += [np.max(np.abs(a[k] - b[k])) for k in a]
    return max(found)


def step_of(path):
    if not path.exists():
        return "no checkpoint yet"
    with np.load(path) as file:
        step = json.loads(str(file["progress"]))["step"]
    return f"last checkpoint at step {step}"


def weights(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]})
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
