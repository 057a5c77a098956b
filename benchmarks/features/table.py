"""The table in Markdown, and the document that holds it."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping
from typing import Any

from tfp_realnvp.files import atomic_path

BEGIN, END = "<!-- features -->", "<!-- end -->"


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns what was found as a table, with its footnotes under it.

    Args:
      found: What the worker wrote, by library: `cells` by row, each of `text` and
        `notes`.
    """
    rows = list(next(iter(found.values()))["cells"])
    notes: list[str] = []

    def render(cell):
        for note in cell["notes"]:
            if note not in notes:
                notes.append(note)
        numbers = [str(notes.index(note) + 1) for note in cell["notes"]]
        mark = f" <sup>{', '.join(numbers)}</sup>" if numbers else ""
        return cell["text"] + mark

    lines = [["", *found], ["---"] * (1 + len(found))]
    for row in rows:
        lines.append([row, *(render(one["cells"][row]) for one in found.values())])
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if not notes:
        return text
    # A list of Markdown would count on from a list before it.
    footnotes = "  \n".join(f"<sup>{i}</sup> {note}" for i, note in enumerate(notes, 1))
    folded = ["<details><summary>Notes</summary>", footnotes, "</details>"]
    return "\n\n".join([text, *folded])


def versions_line(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the versions of all packages behind the table."""
    versions: dict[str, str] = {}
    for one in found.values():
        versions.update(one["versions"])
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def replaced(text: str, block: str) -> str:
    """Returns a document's text with a block in place of the one between the marks.

    Raises:
      ValueError: If the marks are not there.
    """
    pattern = re.compile(f"({re.escape(BEGIN)}\n).*?({re.escape(END)})", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(
            f"document: expected a line {BEGIN} and after it a line {END}, between "
            "which the table goes; got a text without these."
        )
    return pattern.sub(lambda match: f"{match[1]}\n{block}\n\n{match[2]}", text, 1)


def write_document(path: pathlib.Path, block: str) -> None:
    """Writes a document anew with a block between its marks."""
    text = replaced(path.read_text(encoding="utf-8"), block)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
