"""The command line of the speed benchmark.

    python benchmarks/speed --output my/speed --image-peer my/real-nvp

Trains, scores and samples side by side in one run: this package, TFP's own route, the
floor that the convolutions set, and PyTorch flows. Each contender has a process of its
own and one works at a time, in turns. Results are written after every cell.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.util
import json
import pathlib
from typing import Any

from torch_checkout import check_option

from speed.cells import Cell, all_cells, quick_cells
from speed.contenders import CONTENDERS, IMAGE_PEERS
from speed.drive import Run, run_cell
from speed.machine import describe_run
from speed.plots import draw_plots
from speed.report import report
from tfp_realnvp.files import atomic_path, write_json


def main() -> None:
    arguments = _parse()
    cells = _chosen(arguments)
    if arguments.list:
        for cell in cells:
            print(f"{cell.name}: {', '.join(cell.contenders)}")
        return
    image_peer = arguments.image_peer and str(arguments.image_peer.resolve())
    results = _begin(arguments, image_peer)
    run = Run(
        output=arguments.output,
        image_peer=image_peer,
        repetitions=arguments.repetitions,
        say=lambda text: print(text, flush=True),
    )
    if run.image_peer is None and any(IMAGE_PEERS & set(c.contenders) for c in cells):
        run.say("No --image-peer: the PyTorch image flow is left out.")
    for number, cell in enumerate(cells, 1):
        if cell.name in results["cells"]:
            run.say(f"{cell.name}: was measured before")
            continue
        run.say(f"{cell.name} ({number} of {len(cells)})")
        date = datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds")
        results["cells"][cell.name] = {**run_cell(cell, run), "date": date}
        _write(results, arguments.output)
    _write(results, arguments.output)
    run.say(f"Written: {arguments.output / 'results.md'}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/speed", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--output", type=pathlib.Path, help="folder of the results")
    parser.add_argument(
        "--image-peer",
        type=pathlib.Path,
        help="checkout of a PyTorch image Real NVP (chrischute/real-nvp)",
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these cells")
    parser.add_argument(
        "--contenders",
        nargs="+",
        metavar="NAME",
        help="these contenders, beside the first of each cell",
    )
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, no results")
    parser.add_argument(
        "--resume", action="store_true", help="keep the cells that --output has"
    )
    parser.add_argument("--list", action="store_true", help="show the cells and exit")
    arguments = parser.parse_args()
    if arguments.repetitions < 1:
        parser.error(
            f"--repetitions: expected at least 1, got {arguments.repetitions}."
        )
    if arguments.list:
        return arguments
    if arguments.output is None:
        parser.error("--output: expected a folder, got none.")
    if arguments.image_peer is not None:
        check_option(parser, arguments.image_peer)
    if importlib.util.find_spec("matplotlib") is None:
        parser.error("expected matplotlib to be installed, for the plots; it is not.")
    return arguments


def _chosen(arguments: argparse.Namespace) -> list[Cell]:
    cells = quick_cells() if arguments.quick else all_cells()
    if arguments.only is not None:
        _check("--only", arguments.only, [cell.name for cell in cells])
        cells = [cell for cell in cells if cell.name in arguments.only]
    if arguments.contenders is not None:
        _check("--contenders", arguments.contenders, CONTENDERS)
        cells = [_restricted(cell, arguments.contenders) for cell in cells]
    return cells


def _check(name: str, given, known) -> None:
    unknown = [value for value in given if value not in known]
    if unknown:
        raise SystemExit(
            f"{name}: expected of {'; '.join(known)}; got {'; '.join(unknown)}."
        )


def _restricted(cell: Cell, wanted: list[str]) -> Cell:
    first, *others = cell.contenders
    return dataclasses.replace(
        cell,
        contenders=(first, *(name for name in others if name in wanted)),
        memory=tuple(n for n in cell.memory if n == first or n in wanted),
    )


def _begin(arguments: argparse.Namespace, image_peer: str | None) -> dict[str, Any]:
    path = arguments.output / "results.json"
    results = {"run": describe_run(image_peer), "quick": arguments.quick}
    if not path.exists():
        arguments.output.mkdir(parents=True, exist_ok=True)
        return {**results, "cells": {}}
    if not arguments.resume:
        raise SystemExit(
            f"--output: expected a folder without results, got {arguments.output} with "
            "a results.json. --resume keeps its cells and measures the others."
        )
    before = json.loads(path.read_text(encoding="utf-8"))
    for name in ("cpu", "cores", "packages", "commit", "image_peer"):
        if before["run"][name] != results["run"][name]:
            raise SystemExit(
                f"--resume: expected the same {name} as in {path}, "
                f"{before['run'][name]}; got {results['run'][name]}."
            )
    if before["quick"] != arguments.quick:
        raise SystemExit(
            f"--resume: expected {path} to be --quick as well, or neither."
        )
    return {**results, "cells": before["cells"]}


def _write(results: dict[str, Any], output: pathlib.Path) -> None:
    write_json(output / "results.json", results)
    with atomic_path(output / "results.md") as temporary:
        temporary.write_text(report(results), encoding="utf-8")
    try:
        draw_plots(results, output)
    except Exception as error:
        # Hours of measuring are not to end for a picture.
        print(f"  plots: FAILED, {type(error).__name__}: {error}", flush=True)
