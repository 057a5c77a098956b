"""Finds which packages of tfp_realnvp import from which, for architecture.md.

    python docs/import_graph.py

Prints a table of architecture.md, and draws its figure.
"""

import pathlib

import grimp
import numpy as np
from importlinter.api import read_configuration
from matplotlib.figure import Figure

from tfp_realnvp.files import atomic_path

ROOT = pathlib.Path(__file__).parent.parent
IMAGE = ROOT / "docs" / "images" / "import_graph.png"


def layers():
    """Returns the packages and modules of tfp_realnvp, the lowest layer first."""
    settings = read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    (contract,) = (options for options in settings if options["type"] == "layers")
    return [
        name for layer in reversed(contract["layers"]) for name in layer.split(" | ")
    ]


def imports(names):
    """Returns for each name those it imports from, in the order of the names."""
    graph = grimp.build_graph("tfp_realnvp")
    found = {name: set() for name in names}
    for module in graph.modules:
        _, *inside = module.split(".")
        if not inside or inside[0] not in found:
            continue
        for imported in graph.find_modules_directly_imported_by(module):
            _, *there = imported.split(".")
            if there and there[0] != inside[0]:
                found[inside[0]].add(there[0])
    return {name: [n for n in names if n in found[name]] for name in names}


def table(found):
    """Returns the result of `imports` as a table in Markdown."""
    lines = ["| | imports from |", "|---|---|"]
    for name, imported in found.items():
        listed = ", ".join(f"`{n}`" for n in imported) or "none"
        lines.append(f"| `{name}` | {listed} |")
    return "\n".join(lines)


def draw(found, path):
    """Draws a matrix, in which imports from higher layers would be above the diagonal.

    Args:
      found: Result of `imports`.
      path: PNG to write.
    """
    names = list(found)
    matrix = np.array([[n in found[name] for n in names] for name in names])
    figure = Figure(figsize=(7, 6.5), layout="constrained")
    panel = figure.subplots()
    above = np.triu(np.ones_like(matrix, int))
    panel.imshow(above, cmap="Greys", vmin=0, vmax=6)
    rows, columns = np.nonzero(matrix)
    panel.scatter(columns, rows, s=90, color="tab:blue")
    panel.set_xticks(range(len(names)), names, rotation=90)
    panel.set_yticks(range(len(names)), names)
    panel.xaxis.tick_top()
    panel.tick_params(length=0)
    panel.set_xlabel("a dot: the row imports from the column; none may be on grey")
    for side in panel.spines.values():
        side.set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90)


def main():
    """Prints the table and draws the figure."""
    found = imports(layers())
    draw(found, IMAGE)
    print(table(found))


if __name__ == "__main__":
    main()
