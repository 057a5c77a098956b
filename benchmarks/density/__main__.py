"""Trains flows on CIFAR-10 at equal cost, and compares their densities.

    python benchmarks/density --output my/density --data-dir my/tfds --updates 1000 \
        --image-peer my/real-nvp --arms "PyTorch peer" cifar10 cifar10-plus

Trains every arm with every seed, at a size that a CPU core can train, and scores them
on the same test images. Each run has its own process and core and leaves a log; runs
that already have a log are not repeated.
"""

import argparse
import concurrent.futures
import itertools
import json
import os
import pathlib
import sys
import time

if __name__ == "__main__":
    # Python puts this folder first, but its modules must be found as `density.*` only.
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

from harness.machine import commit_of, describe_run, now
from harness.process import ChildError, Process
from harness.tables import write_text
from torch_checkout import check_checkout

from density.arms import ARMS, PEER
from density.report import rendered, report
from tfp_realnvp.files import write_json

# The arguments of a run, besides arm and seed.
SETTINGS = ("filters", "num_blocks", "updates", "minutes", "batch_size", "images")


def main():
    arguments = _parse()
    if arguments.document is not None:
        write_text(arguments.document, rendered(arguments.document))
        return
    if arguments.list:
        for name, arm in ARMS.items():
            print(f"{name}: {arm.about}")
        return
    output = arguments.output
    settings = {name: getattr(arguments, name) for name in (*SETTINGS, "data_dir")}
    # All arms of one seed come before the next seed, so that the arms can be compared
    # whenever the benchmark ends.
    tasks = [
        {"arm": arm, "seed": seed, **settings, "image_peer": None}
        for seed, arm in itertools.product(arguments.seeds, arguments.arms)
    ]
    for task in tasks:
        if task["arm"] == PEER:
            task["image_peer"] = str(arguments.image_peer.resolve())
    waiting = [task for task in tasks if not _is_made(task, output)]
    print(f"{len(tasks)} runs, {len(tasks) - len(waiting)} of them made before.")
    (output / "runs").mkdir(parents=True, exist_ok=True)
    write_json(output / "machine.json", describe_run(arguments.image_peer))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(_run, task, output) for task in waiting]
        for done, run in enumerate(concurrent.futures.as_completed(runs), 1):
            text, is_good = run.result()
            failed += not is_good
            print(f"{done} of {len(waiting)}: {text}", flush=True)
            _report(output)
    print(f"Written: {output / 'results.md'}")
    if failed:
        raise SystemExit(f"{failed} of {len(waiting)} runs failed.")


def _parse():
    parser = argparse.ArgumentParser(
        prog="python benchmarks/density", description=__doc__.splitlines()[0]
    )
    add, cores = parser.add_argument, len(os.sched_getaffinity(0))
    add("--output", type=pathlib.Path, help="folder of logs and results")
    add("--data-dir", help="folder of prepared TFDS data")
    add("--image-peer", type=pathlib.Path, help="checkout of chrischute/real-nvp")
    add("--arms", nargs="+", choices=ARMS, metavar="NAME", default=list(ARMS))
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--updates", type=int, help="length of a run")
    add("--minutes", type=float, help="length of a run, instead of --updates")
    add("--batch-size", type=int, default=64, help="images in an update")
    add("--filters", type=int, default=16, help="feature maps")
    add("--num-blocks", type=int, default=2, help="residual blocks")
    add("--images", type=int, default=2000, help="test images, a multiple of 100")
    add("--jobs", type=int, default=cores, help="runs at a time")
    add("--list", action="store_true", help="show the arms and exit")
    document = "rewrite the tables of a Markdown file from its logs, and exit"
    add("--document", type=pathlib.Path, help=document)
    arguments = parser.parse_args()
    if arguments.list or arguments.document is not None:
        return arguments
    if arguments.output is None:
        parser.error("--output: expected a folder, got none.")
    if (arguments.updates is None) == (arguments.minutes is None):
        parser.error("--updates: expected this or --minutes, got both or neither.")
    if PEER in arguments.arms:
        if arguments.image_peer is None:
            parser.error(f"--image-peer: expected a checkout for {PEER!r}, got none.")
        check_checkout(arguments.image_peer)
    return arguments


def _path(task, output):
    name = f"{task['arm'].replace(' ', '_')}-{task['seed']}.json"
    return output / "runs" / name


def _is_made(task, output):
    path = _path(task, output)
    if not path.exists():
        return False
    log = json.loads(path.read_text(encoding="utf-8"))
    for name in SETTINGS:
        if log[name] != task[name]:
            raise SystemExit(
                f"--output: expected runs with {name} {task[name]}, as asked for; got "
                f"one with {log[name]}, {path}."
            )
    return True


def _run(task, output):
    """Returns a line about a run that has ended, and whether it succeeded."""
    path, arm, begin = _path(task, output), ARMS[task["arm"]], time.monotonic()
    name, printed = f"{task['arm']}, seed {task['seed']}", path.with_suffix(".txt")
    log = {
        **task,
        "trainer": arm.trainer,
        "changes": arm.changes,
        "date": now(),
        "commit": commit_of(pathlib.Path(__file__).parent),
        "image_peer_commit": task["image_peer"] and commit_of(task["image_peer"]),
    }
    try:
        # A run has one core.
        with Process(printed, OMP_NUM_THREADS="1") as process:
            log.update(process.ask(f"density.{arm.trainer}:train", task=task))
    except ChildError as error:
        return f"{name}: FAILED, {error}; see {printed}", False
    log["load_average_at_end"] = os.getloadavg()[0]
    log["seconds"] = time.monotonic() - begin
    write_json(path, log)
    took = f"{log['updates_made']} updates in {log['training_seconds']:.0f} s"
    return f"{name}: {log['test']:.4f} bits/dim after {took}", True


def _report(output):
    """Writes the tables, and all logs as the lines of one file."""
    paths = sorted((output / "runs").glob("*.json"))
    logs = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    lines = "".join(json.dumps(log) + "\n" for log in logs)
    write_text(output / "runs.jsonl", lines)
    write_text(output / "results.md", report(logs) + "\n")


if __name__ == "__main__":
    main()
