"""Trains on the GPU machine what `python benchmarks/gpu pack` has packed, in one call.

    python3 run.py train --output "$OUT" --batch-size 256 --call-seconds 570 \
        --train-seconds 1000 --peer-seconds 60
    python3 run.py fetch --output "$OUT" --first 0

The first call measures the speed and plans the learning rate's schedule by it; later
ones on the same machine go on. Nothing here needs TensorFlow. What is in the output
folder is complete at any time.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

STARTED = time.monotonic()
FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from report import make_report  # noqa: E402
from state_parts import write_parts  # noqa: E402
from weights import chosen, write_state  # noqa: E402

MIB = 2**20
# What a call may bring back, with room for the reports.
_FILES, _FILE_MIB = 4, 15
# Seconds until PyTorch trains.
_PEER_START = 30


def main(argv: list[str] | None = None) -> int:
    arguments = _parse(argv)
    arguments.output.mkdir(parents=True, exist_ok=True)
    about = json.loads((FOLDER / "pack.json").read_text(encoding="utf-8"))
    if arguments.command == "fetch":
        return _fetch(arguments, about)
    if arguments.batch_size not in about["batch_sizes"]:
        sys.exit(
            f"--batch-size: expected one of {about['batch_sizes']}, which are packed; "
            f"got {arguments.batch_size}."
        )
    if arguments.peer_seconds and not about["image_peer"]:
        sys.exit("--peer-seconds: expected 0, for no --image-peer is packed.")
    plan = _plan(arguments, about)
    status = _train(arguments, about, plan)
    if arguments.peer_seconds:
        status = _time_peer(arguments, about) or status
    _publish(arguments, about, plan, weights=False)
    return status


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train")
    fetch = commands.add_parser("fetch")
    for command in (train, fetch):
        command.add_argument("--output", type=pathlib.Path, required=True)
    add = train.add_argument
    add("--batch-size", type=int, required=True)
    add("--call-seconds", type=float, required=True, help="limit of this call")
    add("--train-seconds", type=float, help="of all calls together: what is planned")
    add("--steps", type=int, help="what is planned, instead of --train-seconds")
    add("--learning-rate", type=float, help="the highest, instead of the packed one")
    add("--chunk", type=int, default=50, help="steps between two looks at the time")
    add("--every-seconds", type=float, default=60, help="between evaluations")
    add("--reserve", type=float, default=25, help="seconds to save and evaluate in")
    add("--peer-seconds", type=float, default=0, help="for timing the PyTorch flow")
    add("--seed", type=int, default=0, help="of the images' order and of noise")
    fetch.add_argument("--which", choices=("average", "weights"), default="average")
    fetch.add_argument("--first", type=int, default=0, help="number of the first part")
    arguments = parser.parse_args(argv)
    if arguments.command == "train":
        if (arguments.steps is None) == (arguments.train_seconds is None):
            parser.error("--steps: expected either this or --train-seconds.")
        for name in ("batch_size", "call_seconds", "train_seconds", "steps", "chunk"):
            value = getattr(arguments, name)
            if value is not None and not value > 0:
                option = name.replace("_", "-")
                parser.error(f"--{option}: expected a positive number, got {value}.")
    return arguments


def _plan(arguments: argparse.Namespace, about: dict) -> dict:
    """Returns what all calls keep to; the first one makes it."""
    path = FOLDER / "plan.json"
    if path.exists():
        plan = json.loads(path.read_text(encoding="utf-8"))
        for name in ("batch_size", "chunk", "seed", "learning_rate", "steps"):
            value = getattr(arguments, name)
            if value not in (None, plan[name]):
                sys.exit(
                    f"--{name.replace('_', '-')}: expected {plan[name]}, with which "
                    f"training began; got {value}."
                )
        # How long it was to take does not matter any more.
        print(f"planned before: {plan}", flush=True)
        return plan
    plan = {name: getattr(arguments, name) for name in ("batch_size", "chunk", "seed")}
    plan["learning_rate"] = arguments.learning_rate or about["run"]["learning_rate"]
    write_state(FOLDER, about, plan["learning_rate"], steps=None)
    # Compiles all that later calls find in the cache.
    status = _call(
        *("train_on_gpu.py", FOLDER, "--steps", 2 * arguments.chunk),
        *_common(plan, FOLDER / "calibration"),
        *("--leave-out", "."),
    )
    if status:
        sys.exit(status)
    log = json.loads((FOLDER / "calibration" / "trained-log.json").read_text())
    plan["step_seconds"] = log["chunks"][-1]["seconds"] / arguments.chunk
    steps = arguments.steps
    if steps is None:
        # A tenth is for evaluating and saving.
        steps = 0.9 * arguments.train_seconds / plan["step_seconds"]
    plan["steps"] = max(1, round(steps / arguments.chunk)) * arguments.chunk
    write_state(FOLDER, about, plan["learning_rate"], plan["steps"])
    path.write_text(json.dumps(plan), encoding="utf-8")
    print(f"planned: {plan}", flush=True)
    return plan


def _common(plan: dict, output: pathlib.Path) -> tuple:
    return (
        *("--batch-size", plan["batch_size"], "--chunk", plan["chunk"]),
        *("--seed", plan["seed"], "--out", output),
        *("--compile-cache", FOLDER / "cache"),
    )


def _train(arguments: argparse.Namespace, about: dict, plan: dict) -> int:
    """Goes on to the planned end or the end of the call; returns a status."""
    output = FOLDER / "out"
    resume = []
    if (output / "trained-000.npz").exists():
        resume = ["--resume", output / "trained"]
    every = arguments.every_seconds / (plan["step_seconds"] * plan["chunk"])
    every = max(1, round(every))
    left = arguments.call_seconds - (time.monotonic() - STARTED)
    if arguments.peer_seconds:
        left -= arguments.peer_seconds + _PEER_START
    if left <= arguments.reserve:
        print("no time left to train in this call", flush=True)
        return 0
    log = output / "trained-log.json"
    seen = log.stat().st_mtime_ns if log.exists() else None
    child = _start(
        *("train_on_gpu.py", FOLDER, "--steps", plan["steps"], *resume),
        *_common(plan, output),
        *("--time-limit", left, "--reserve", arguments.reserve),
        *("--eval-every", every, "--save-every", every),
    )
    status = None
    while status is None:
        try:
            status = child.wait(timeout=1)
        except subprocess.TimeoutExpired:
            # The log is written after the weights.
            now = log.stat().st_mtime_ns if log.exists() else None
            if now != seen and _is_published(arguments, about, plan):
                seen = now
    if status == 0:
        _publish(arguments, about, plan, weights=True)
    return status


def _is_published(arguments: argparse.Namespace, about: dict, plan: dict) -> bool:
    """Copies what there is, unless it is just being written."""
    try:
        _publish(arguments, about, plan, weights=True)
    except (ValueError, OSError) as error:
        print(f"not copied yet: {error}", flush=True)
        return False
    return True


def _publish(
    arguments: argparse.Namespace, about: dict, plan: dict, *, weights: bool
) -> None:
    """Copies to the output what would be missed most if the call were cut off."""
    log = FOLDER / "out" / "trained-log.json"
    if not log.exists():
        return
    newest = json.loads(log.read_text(encoding="utf-8"))
    logs = FOLDER / "logs"
    logs.mkdir(exist_ok=True)
    # Each call writes a log of its own part.
    shutil.copyfile(log, logs / f"log-{newest['first_step']:08d}.json")
    peer = FOLDER / "peer.json"
    report = make_report(
        [json.loads(path.read_text()) for path in sorted(logs.glob("log-*.json"))],
        about,
        plan,
        json.loads(peer.read_text()) if peer.exists() else None,
    )
    temporary = arguments.output / ".report.json"
    temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, arguments.output / "report.json")
    if weights:
        state, extra = chosen(FOLDER, "average", about)
        prefix = str(arguments.output / "rounded")
        write_parts(state, prefix, _FILE_MIB * MIB, "bfloat16", extra)


def _fetch(arguments: argparse.Namespace, about: dict) -> int:
    state, extra = chosen(FOLDER, arguments.which, about)
    back = FOLDER / "back"
    back.mkdir(exist_ok=True)
    paths = write_parts(state, str(back / "exact"), _FILE_MIB * MIB, extra=extra)
    due = paths[arguments.first : arguments.first + _FILES]
    for path in due:
        shutil.copy(path, arguments.output)
    last = arguments.first + len(due)
    print(f"parts before {last} of {len(paths)}, at step {extra['step']}")
    if last < len(paths):
        print(f"the rest: fetch --first {last}")
    return 0


def _time_peer(arguments: argparse.Namespace, about: dict) -> int:
    flow = about["run"]["flow"]
    return _call(
        *("peer.py", FOLDER, "--batch-size", arguments.batch_size),
        *("--seconds", arguments.peer_seconds, "--num-scales", flow["num_scales"]),
        *("--filters", flow["filters"], "--num-blocks", flow["num_blocks"]),
    )


def _start(script: str, *options: object) -> subprocess.Popen:
    command = [sys.executable, "-u", FOLDER / script, *options]
    return subprocess.Popen([str(word) for word in command])


def _call(script: str, *options: object) -> int:
    return _start(script, *options).wait()


if __name__ == "__main__":
    sys.exit(main())
