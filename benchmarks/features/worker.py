"""Runs all probes of a library, in a process of its own."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import importlib.metadata
import json
import pathlib

from speed.machine import commit_of
from torch_checkout import use_checkout

from features import IMAGE_PEER, LIBRARIES
from features.probes import PROBES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--image-peer", type=pathlib.Path)
    arguments = parser.parse_args()
    library = LIBRARIES[arguments.library]
    if arguments.library == IMAGE_PEER:
        use_checkout(arguments.image_peer)
    subject = importlib.import_module(f"features.{library.module}").SUBJECT
    cells = {}
    for row, probe in PROBES.items():
        subject.tools.seed()
        cells[row] = dataclasses.asdict(probe(subject))
        print(f"  {row}: {cells[row]['text']}", flush=True)
        for note in cells[row]["notes"]:
            print(f"    {note}", flush=True)
    versions = {name: importlib.metadata.version(name) for name in library.packages}
    if arguments.library == IMAGE_PEER:
        commit = commit_of(arguments.image_peer) or "of unknown commit"
        versions[IMAGE_PEER] = commit[:17]
    # Not by this package's own writer, which would bring TensorFlow to PyTorch.
    found = json.dumps({"cells": cells, "versions": versions})
    arguments.output.write_text(found, encoding="utf-8")


if __name__ == "__main__":
    main()
