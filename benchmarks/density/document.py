"""Tables of a Markdown document, written from the logs of the runs behind them.

A table stands between two comments, of which the first names a file of logs in the
folder that is called as the document is, and the arms:

    <!-- density updates.jsonl ["PyTorch peer", "cifar10-plus"] -->
    <!-- end -->
"""

from __future__ import annotations

import json
import pathlib
import re

from density.report import report
from tfp_realnvp.files import atomic_path

_BLOCK = re.compile(
    r"(<!-- density (?P<file>\S+) (?P<arms>\[.*?\]) -->\n).*?(<!-- end -->)", re.DOTALL
)


def rendered(path: pathlib.Path) -> str:
    """Returns a document's text with all its tables as the logs say."""

    def table(block: re.Match) -> str:
        lines = (path.with_suffix("") / block["file"]).read_text(encoding="utf-8")
        logs = [json.loads(line) for line in lines.splitlines()]
        wanted = json.loads(block["arms"])
        missing = set(wanted) - {log["arm"] for log in logs}
        if missing:
            raise ValueError(
                f"{block['file']}: expected runs of {'; '.join(wanted)}; got none of "
                f"{'; '.join(sorted(missing))}."
            )
        return f"{block[1]}\n{report(logs, wanted)}\n{block[4]}"

    return _BLOCK.sub(table, path.read_text(encoding="utf-8"))


def write_tables(path: pathlib.Path) -> None:
    """Writes a document's tables anew."""
    text = rendered(path)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
