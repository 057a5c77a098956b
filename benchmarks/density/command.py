"""The command line of the density benchmark.

    python benchmarks/density --output my/density --data-dir my/tfds --updates 1000 \
        --image-peer my/real-nvp --arms "PyTorch peer" cifar10 cifar10-plus

Trains every arm with every seed on CIFAR-10, at a size that a CPU core can train, and
scores them on the same test images. Each run has a process and a core of its own and
leaves a log; runs that have theirs already are not made again.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import subprocess
import sys

from speed.machine import describe_run
from torch_checkout import check_option

from density.arms import ARMS, PEER
from density.document import write_tables
from density.report import report
from density.task import Task
from tfp_realnvp.files import atomic_path, write_json

FOLDER = pathlib.Path(__file__).resolve().parents[1]


def main() -> None:
    arguments = _parse()
    if arguments.document is not None:
        write_tables(arguments.document)
        return
    if arguments.list:
        for name, arm in ARMS.items():
            print(f"{name}: {arm.about}")
        return
    # A seed of all arms comes before the next one, so that what there is can be
    # compared whenever the benchmark ends.
    tasks = [
        _task(arguments, arm, seed)
        for seed in arguments.seeds
        for arm in arguments.arms
    ]
    (arguments.output / "runs").mkdir(parents=True, exist_ok=True)
    waiting = [task for task in tasks if not _is_made(task, arguments.output)]
    print(f"{len(tasks)} runs, {len(tasks) - len(waiting)} of them made before.")
    machine = describe_run(arguments.image_peer and str(arguments.image_peer))
    write_json(arguments.output / "machine.json", machine)
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(_run, task, arguments.output) for task in waiting]
        failed = 0
        for done, run in enumerate(concurrent.futures.as_completed(runs), 1):
            text, is_good = run.result()
            failed += not is_good
            print(f"{done} of {len(waiting)}: {text}", flush=True)
            _report(arguments.output)
    _report(arguments.output)
    print(f"Written: {arguments.output / 'results.md'}")
    if failed:
        raise SystemExit(f"{failed} of {len(waiting)} runs failed.")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/density", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--output", type=pathlib.Path, help="folder of logs and results")
    add("--data-dir", help="folder of prepared TFDS data")
    add(
        "--image-peer",
        type=pathlib.Path,
        help="checkout of a PyTorch image Real NVP (chrischute/real-nvp)",
    )
    add("--arms", nargs="+", metavar="NAME", default=list(ARMS), help="what to train")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--updates", type=int, help="length of a run")
    add("--minutes", type=float, help="length of a run, instead of --updates")
    add("--batch-size", type=int, default=64, help="images in an update")
    add("--filters", type=int, default=16, help="feature maps")
    add("--num-blocks", type=int, default=2, help="residual blocks")
    add("--images", type=int, default=2000, help="test images to score")
    add("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="runs at a time")
    add("--list", action="store_true", help="show the arms and exit")
    add(
        "--document",
        type=pathlib.Path,
        help="write the tables of a Markdown file anew from its logs, and exit",
    )
    arguments = parser.parse_args()
    if arguments.list or arguments.document is not None:
        return arguments
    if arguments.output is None:
        parser.error("--output: expected a folder, got none.")
    if (arguments.updates is None) == (arguments.minutes is None):
        parser.error("--updates: expected either this or --minutes, got both or none.")
    for name in ("updates", "minutes", "batch_size", "filters", "num_blocks", "jobs"):
        value = getattr(arguments, name)
        if value is not None and not value > 0:
            option = name.replace("_", "-")
            parser.error(f"--{option}: expected a positive number, got {value}.")
    if not 100 <= arguments.images <= 10_000 or arguments.images % 100:
        parser.error(
            f"--images: expected hundreds up to 10000, got {arguments.images}."
        )
    unknown = [name for name in arguments.arms if name not in ARMS]
    if unknown:
        parser.error(
            f"--arms: expected of {'; '.join(ARMS)}; got {'; '.join(unknown)}."
        )
    if PEER in arguments.arms:
        _check_peer(parser, arguments.image_peer)
    return arguments


def _check_peer(
    parser: argparse.ArgumentParser, image_peer: pathlib.Path | None
) -> None:
    if image_peer is None:
        parser.error(
            f"--image-peer: expected a checkout, for {PEER!r}; got none. --arms names "
            "others."
        )
    check_option(parser, image_peer)


def _task(arguments: argparse.Namespace, arm: str, seed: int) -> Task:
    copied = {
        field.name: getattr(arguments, field.name)
        for field in dataclasses.fields(Task)
        if field.name not in ("arm", "seed", "image_peer")
    }
    image_peer = str(arguments.image_peer.resolve()) if arm == PEER else None
    return Task(arm=arm, seed=seed, image_peer=image_peer, **copied)


def _is_made(task: Task, output: pathlib.Path) -> bool:
    path = task.path(output)
    if not path.exists():
        return False
    log = json.loads(path.read_text(encoding="utf-8"))
    for name, value in vars(task).items():
        if name not in ("data_dir", "image_peer") and log[name] != value:
            raise SystemExit(
                f"--output: expected runs with {name} {value}, as asked for; got one "
                f"with {log[name]}, {path}."
            )
    return True


def _run(task: Task, output: pathlib.Path) -> tuple[str, bool]:
    """Returns what to say of a run that has ended, and whether it ended well."""
    paths = [str(FOLDER), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # A run has one core.
        "OMP_NUM_THREADS": "1",
    }
    path = task.path(output)
    printed = path.with_suffix(".txt")
    with open(printed, "w", encoding="utf-8") as file:
        command = [sys.executable, "-m", "density.worker", json.dumps(vars(task)), path]
        status = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment
        ).returncode
    name = f"{task.arm}, seed {task.seed}"
    if status:
        return f"{name}: FAILED with status {status}, see {printed}", False
    log = json.loads(path.read_text(encoding="utf-8"))
    return (
        f"{name}: {log['test']:.4f} bits/dim after {log['updates_made']} updates in "
        f"{log['training_seconds']:.0f} s"
    ), True


def _report(output: pathlib.Path) -> None:
    """Writes the tables, and all logs as the lines of one file."""
    logs = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((output / "runs").glob("*.json"))
    ]
    lines = "".join(json.dumps(log) + "\n" for log in logs)
    for name, text in (("runs.jsonl", lines), ("results.md", report(logs))):
        with atomic_path(output / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
