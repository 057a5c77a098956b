"""Figures as text, tables in Markdown, and documents that hold them."""

from __future__ import annotations

import dataclasses
import math
import re
import statistics


@dataclasses.dataclass(frozen=True)
class Spread:
    """A median with its quartiles."""

    median: float
    lower: float
    upper: float

    @classmethod
    def of(cls, values):
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, lower, upper)

    def __str__(self):
        if self.lower == self.upper:
            return f"{self.median:.3g}"
        return f"{self.median:.3g} [{self.lower:.3g}, {self.upper:.3g}]"


def ratios(above, below):
    """Returns the ratio in each repetition that both have."""
    return [a / b for a, b in zip(above, below, strict=False)]


def mean_and_error(values, *, sign=False):
    """Returns mean and standard error as text, or a dash if there are no values."""
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):{'+' if sign else ''}.4f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values) / math.sqrt(len(values)):.4f}"


def table(header, rows):
    """Returns a table in Markdown."""

    def line(cells):
        escaped = (str(c).replace("|", "\\|").replace("\n", " ") for c in cells)
        return f"| {' | '.join(escaped)} |"

    rule = line(["---"] * len(header))
    return "\n".join([line(header), rule, *map(line, rows)])


def filled(text, mark, render):
    """Returns a document's text with the results of `render` between its marks.

    Each block follows a line `<!-- MARK ARGUMENTS -->`, whose arguments `render` gets,
    and ends before a line `<!-- end -->`.
    """
    pattern = re.compile(
        rf"(<!-- {mark}(?: ([^\n]*?))? -->\n).*?(<!-- end -->)", re.DOTALL
    )
    if not pattern.search(text):
        raise ValueError(
            f"document: expected a line <!-- {mark} --> and after it a line "
            "<!-- end -->, between which the table goes; got a text without these."
        )
    return pattern.sub(lambda m: f"{m[1]}\n{render(m[2] or '')}\n\n{m[3]}", text)


def write_text(path, text):
    # Imported here, because children of other libraries do not have this package.
    from tfp_realnvp.files import atomic_path

    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
