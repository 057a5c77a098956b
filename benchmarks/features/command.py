"""The command line of the table of features.

    python benchmarks/features --image-peer my/real-nvp --document README.md

Runs small probes of every library, each library in a process of its own, and prints
what they found as a table. A library that is not installed has no column.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from torch_checkout import check_option

from features import IMAGE_PEER, LIBRARIES
from features.table import replaced, table, versions_line, write_document

FOLDER = pathlib.Path(__file__).resolve().parents[1]
LEGEND = (
    "Each cell is what a probe found when it ran. *From parts*: the library has "
    "couplings that the user puts together, and no class that is the whole flow. "
    "A probe that does not apply is marked -."
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser, options = _parse(arguments)
    if options.document is not None:
        # Better now than after all probes have run.
        try:
            replaced(options.document.read_text(encoding="utf-8"), "")
        except (OSError, ValueError) as error:
            parser.error(f"--document {options.document}: {error}")
    names = present(options.only, options.image_peer)
    if not names:
        parser.error("--only: expected a library that is installed, got none.")
    found = {}
    for i, name in enumerate(names, 1):
        print(f"{name}, {i} of {len(names)}:", flush=True)
        found[name] = probe(name, options.image_peer)
    block = "\n\n".join(
        [
            table(found),
            LEGEND,
            f"With {versions_line(found)}, Python {sys.version.split()[0]}, by "
            f"`{_command(options)}`.",
        ]
    )
    print(f"\n{block}")
    if options.document is not None:
        write_document(options.document, block)


def present(names: Sequence[str], image_peer: pathlib.Path | None) -> list[str]:
    """Returns the libraries that can be probed, and prints which are left out."""
    kept = []
    for name in names:
        imports = LIBRARIES[name].imports
        missing = [i for i in imports if importlib.util.find_spec(i) is None]
        if missing:
            print(f"{name} is left out: {', '.join(missing)} not installed.")
        elif name == IMAGE_PEER and image_peer is None:
            print(f"{name} is left out: no checkout given with --image-peer.")
        else:
            kept.append(name)
    return kept


def probe(name: str, image_peer: pathlib.Path | None) -> dict[str, Any]:
    """Returns what the probes of a library found, made in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "found.json"
        command = [sys.executable, "-m", "features.worker", name, str(output)]
        if name == IMAGE_PEER:
            command += ["--image-peer", str(image_peer)]
        paths = [str(FOLDER), os.environ.get("PYTHONPATH", "")]
        python_path = os.pathsep.join(path for path in paths if path)
        subprocess.run(
            command, check=True, env={**os.environ, "PYTHONPATH": python_path}
        )
        return json.loads(output.read_text(encoding="utf-8"))


def _parse(
    arguments: Sequence[str] | None,
) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/features",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--image-peer",
        type=pathlib.Path,
        help=f"checkout of {IMAGE_PEER}; without one it is left out",
    )
    parser.add_argument(
        "--only", nargs="+", choices=LIBRARIES, default=list(LIBRARIES), metavar="NAME"
    )
    parser.add_argument(
        "--document",
        type=pathlib.Path,
        help="Markdown file to write the table into, between <!-- features --> and "
        "<!-- end -->",
    )
    options = parser.parse_args(arguments)
    if options.image_peer is not None:
        check_option(parser, options.image_peer)
    return parser, options


def _command(options: argparse.Namespace) -> str:
    words = ["python", "benchmarks/features"]
    if options.image_peer is not None:
        words += ["--image-peer", "my/real-nvp"]
    if options.only != list(LIBRARIES):
        words += ["--only", *options.only]
    return shlex.join(words)
