"""Finds out what Real NVP libraries can do, and writes a table of the results.

    python benchmarks/features --image-peer my/real-nvp --document README.md

Runs small probes of every library, each library in its own process, and prints the
results. A library that is not installed gets no column.
"""

import argparse
import pathlib
import shlex
import sys
import tempfile

if __name__ == "__main__":
    # Python puts this folder first, but its modules must be found as `features.*` only.
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

from harness.process import ChildError, Process
from harness.tables import filled, table, write_text
from torch_checkout import check_checkout

from features import IMAGE_PEER, LIBRARIES

LEGEND = (
    "Each cell shows what a probe found when it ran. *From parts*: the library has "
    "couplings that the user puts together, and no class for the whole flow. A dash "
    "marks a probe that does not apply; a *no* without a note, a library with nothing "
    "to try."
)


def main():
    options = _parse()
    found = {}
    for i, name in enumerate(options.only, 1):
        print(f"{name}, {i} of {len(options.only)}:", flush=True)
        try:
            found[name] = probe(name, options)
        except ChildError as error:
            print(f"  left out: {error}")
            continue
        for row, cell in found[name]["cells"].items():
            print(f"  {row}: {cell['text']}", *cell["notes"], sep="\n    ")
    if not found:
        raise SystemExit("--only: expected a library that is installed, got none.")
    words = ["python", "benchmarks/features"]
    if IMAGE_PEER in found:
        words += ["--image-peer", "my/real-nvp"]
    if options.only != list(LIBRARIES):
        words += ["--only", *options.only]
    versions = {n: v for one in found.values() for n, v in one["versions"].items()}
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    pythons = ", ".join(sorted({one["python"] for one in found.values()}))
    made = f"With {told}, Python {pythons}, by `{shlex.join(words)}`."
    block = "\n\n".join([features_table(found), LEGEND, made])
    print(f"\n{block}")
    if options.document is not None:
        text = options.document.read_text(encoding="utf-8")
        write_text(options.document, filled(text, "features", lambda _: block))


def _parse():
    parser = argparse.ArgumentParser(
        prog="python benchmarks/features", description=__doc__.splitlines()[0]
    )
    add, names = parser.add_argument, list(LIBRARIES)
    add("--image-peer", type=pathlib.Path, help=f"checkout of {IMAGE_PEER}")
    add("--torch-python", default=sys.executable, help="a Python that has PyTorch")
    add("--only", nargs="+", choices=names, default=names, metavar="NAME")
    document = "Markdown file with <!-- features --> and <!-- end -->, to write it into"
    add("--document", type=pathlib.Path, help=document)
    options = parser.parse_args()
    if options.image_peer is not None:
        check_checkout(options.image_peer)
    if options.document is not None:
        # A wrong document fails now, and not after all probes have run.
        filled(options.document.read_text(encoding="utf-8"), "features", str)
    return options


def probe(name, options):
    """Returns the results of a library's probes, run in their own process."""
    is_torch = "torch" in LIBRARIES[name][1]
    python = options.torch_python if is_torch else sys.executable
    peer = options.image_peer and str(options.image_peer.resolve())
    with (
        tempfile.TemporaryDirectory() as folder,
        Process(pathlib.Path(folder, "log.txt"), python) as process,
    ):
        return process.ask("features.probes:find", library=name, image_peer=peer)


def features_table(found):
    """Returns the results as a table, followed by its footnotes.

    Args:
      found: Results by library: `cells` by row, each with `text` and `notes`.
    """
    notes = []

    def render(cell):
        for note in cell["notes"]:
            if note not in notes:
                notes.append(note)
        numbers = [str(notes.index(note) + 1) for note in cell["notes"]]
        mark = f" <sup>{', '.join(numbers)}</sup>" if numbers else ""
        return cell["text"] + mark

    rows = [
        [row, *(render(one["cells"][row]) for one in found.values())]
        for row in next(iter(found.values()))["cells"]
    ]
    text = table(["", *found], rows)
    if not notes:
        return text
    # A Markdown list would continue the numbers of a list before it.
    footnotes = "  \n".join(f"<sup>{i}</sup> {note}" for i, note in enumerate(notes, 1))
    folded = ["<details><summary>Notes</summary>", footnotes, "</details>"]
    return "\n\n".join([text, *folded])


if __name__ == "__main__":
    main()
