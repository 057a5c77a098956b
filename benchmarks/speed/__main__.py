"""Measures how fast flows train, score and sample, side by side.

    python benchmarks/speed --output my/speed --image-peer my/real-nvp

The contenders are this package, TFP's own couplings, the bare convolutions (a lower
bound) and PyTorch flows. Each has its own process, and they run in turns, one at a
time. Results are written after every cell.
"""

import argparse
import json
import pathlib
import sys

if __name__ == "__main__":
    # Python puts this folder first, but its modules must be found as `speed.*` only.
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

from harness.machine import describe_run, now
from harness.process import Process
from harness.tables import write_text
from torch_checkout import check_checkout

from speed.cells import all_cells, quick_cells
from speed.plots import draw_plots
from speed.report import report
from speed.run import Run, run_cell
from tfp_realnvp.files import write_json


def main():
    arguments = _parse()
    cells = _chosen(arguments)
    if arguments.list:
        for cell in cells:
            print(f"{cell.name}: {', '.join(cell.contenders)}")
        return
    results = _begin(arguments)
    run = Run(
        output=arguments.output,
        image_peer=arguments.image_peer and str(arguments.image_peer.resolve()),
        torch_python=arguments.torch_python,
        repetitions=arguments.repetitions,
        say=lambda text: print(text, flush=True),
    )
    for number, cell in enumerate(cells, 1):
        if cell.name in results["cells"]:
            run.say(f"{cell.name}: was measured before")
            continue
        run.say(f"{cell.name} ({number} of {len(cells)})")
        date = now()
        results["cells"][cell.name] = {**run_cell(cell, run), "date": date}
        _write(results, arguments.output)
    _write(results, arguments.output)
    run.say(f"Written: {arguments.output / 'results.md'}")


def _parse():
    parser = argparse.ArgumentParser(
        prog="python benchmarks/speed", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--output", type=pathlib.Path, help="folder of the results")
    add("--image-peer", type=pathlib.Path, help="checkout of chrischute/real-nvp")
    add("--torch-python", default=sys.executable, help="a Python that has PyTorch")
    add("--only", nargs="+", metavar="NAME", help="these cells")
    add("--repetitions", type=int, default=7)
    add("--quick", action="store_true", help="try the command at tiny sizes")
    add("--resume", action="store_true", help="keep the cells that --output has")
    add("--list", action="store_true", help="show the cells and exit")
    arguments = parser.parse_args()
    if arguments.output is None and not arguments.list:
        parser.error("--output: expected a folder, got none.")
    if arguments.image_peer is not None:
        check_checkout(arguments.image_peer)
    return arguments


def _chosen(arguments):
    cells = quick_cells() if arguments.quick else all_cells()
    wanted = arguments.only or [cell.name for cell in cells]
    unknown = set(wanted) - {cell.name for cell in cells}
    if unknown:
        raise SystemExit(
            f"--only: expected names that --list shows, got {'; '.join(unknown)}."
        )
    return [cell for cell in cells if cell.name in wanted]


def _begin(arguments):
    path = arguments.output / "results.json"
    about = {"run": describe_run(arguments.image_peer), "quick": arguments.quick}
    log = arguments.output / "logs" / "versions.log"
    with Process(log, arguments.torch_python) as process:
        versions = process.ask("harness.machine:packages")
    for name, version in about["run"]["packages"].items():
        about["run"]["packages"][name] = version or versions[name]
    if not path.exists():
        return {**about, "cells": {}}
    if not arguments.resume:
        raise SystemExit(
            f"--output: expected a folder without results, got {arguments.output} with "
            "a results.json. --resume keeps its cells and measures the others."
        )
    before = json.loads(path.read_text(encoding="utf-8"))
    names = ("cpu", "cores", "packages", "commit", "image_peer")
    for old, new, name in (
        *((before["run"], about["run"], name) for name in names),
        (before, about, "quick"),
    ):
        if old[name] != new[name]:
            raise SystemExit(
                f"--resume: expected the same {name} as in {path}, {old[name]}; got "
                f"{new[name]}."
            )
    return {**about, "cells": before["cells"]}


def _write(results, output):
    write_json(output / "results.json", results)
    write_text(output / "results.md", report(results))
    try:
        draw_plots(results, output)
    except Exception as error:
        # A picture that fails must not end hours of measuring.
        print(f"  plots: FAILED, {type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    main()
