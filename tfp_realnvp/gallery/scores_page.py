"""A picture and a web page of the strangest and the most ordinary images."""

from __future__ import annotations

import html
import string

import numpy as np

from tfp_realnvp.evaluation.image_scores import SHOWN, ImageScores
from tfp_realnvp.figures.pictures import image_grid, side_by_side, with_headings
from tfp_realnvp.gallery.page import image_tag, page_file

_COLUMNS = 8
_BINS = 48
# Width and height of the chart, and the place of its axis, in its own units.
_WIDTH, _HEIGHT, _AXIS = 640, 200, 176
_MARGIN = 36


def scores_sheet(scores: ImageScores) -> np.ndarray:
    """Returns one picture: strangest images on the left, most ordinary on the right."""
    blocks = []
    for heading, numbers in _shown(scores).items():
        images = np.stack([scores.pictures[i] for i in numbers])
        # Always eight columns wide, so that the heading fits above few images.
        grid = image_grid(images, columns=_COLUMNS, scale=None)
        blocks.append(with_headings(grid, [heading]))
    return side_by_side(blocks)


def scores_page(scores: ImageScores, *, title: str, summary: str = "") -> str:
    """Returns a web page as one string, with a summary of a few sentences.

    At least one image must have scores.
    """
    sections = [
        f'<section class="run"><h2>{heading}</h2>\n<div class="cards">\n'
        + "\n".join(_card(scores, number) for number in numbers)
        + "\n</div></section>"
        for heading, numbers in _shown(scores).items()
    ]
    return string.Template(page_file("scores.html")).substitute(
        title=html.escape(title),
        summary=html.escape(summary),
        style=page_file("page.css"),
        chart=_chart(scores),
        count=f"{len(scores.order()):,}",
        own=f"{len(scores.reference):,}",
        sections="\n".join(sections),
    )


def _shown(scores: ImageScores) -> dict[str, list[int]]:
    """Returns the indices of images to show, by heading; no image has both."""
    order = scores.order().tolist()
    half = min(SHOWN, (len(order) + 1) // 2)
    parts = {
        "Strangest first": order[:half],
        "Most ordinary first": order[half:][-SHOWN:][::-1],
    }
    return {heading: numbers for heading, numbers in parts.items() if numbers}


def _card(scores: ImageScores, number: int) -> str:
    columns = {name: column[number] for name, column in scores.columns.items()}
    images = scores.pictures[number][np.newaxis]
    picture = image_grid(images, columns=1, scale=None)
    # The page may be published, and does not reveal where the folder is. A file name
    # need not be valid text.
    name = "/".join(columns["file"].split("/")[-2:])
    name = name.encode("utf-8", "backslashreplace").decode("utf-8")
    bits, error = columns["bits_per_dim"], columns["standard_error"]
    plus_minus = "" if np.isnan(error) else f" ± {error:.2f}"
    side = "high" if bits > np.median(scores.reference) else "low"
    return (
        f"<figure>{image_tag(picture, '')}<figcaption>{html.escape(name)} "
        f'<span class="facts">{bits:.2f}{plus_minus} bits/dim</span>'
        f'<span class="facts">p = {columns["typicality"]:.2g}, {side}</span>'
        "</figcaption></figure>"
    )


def _chart(scores: ImageScores) -> str:
    """Returns overlaid histograms of the scores and of the reference."""
    bits = scores.columns["bits_per_dim"][scores.order()]
    low, high = scores.reference.min(), scores.reference.max()
    # A single outlier would leave no room for the others.
    room = max(high - low, 0.1)
    first = min(low, max(bits.min(), low - room))
    last = max(high, min(bits.max(), high + room))
    edges = np.linspace(first, max(last, first + room), _BINS + 1)
    shares = [
        np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values)
        for values in (bits, scores.reference)
    ]
    x = np.linspace(0, _WIDTH, _BINS + 1)
    outlines = ""
    for name, share in zip(("new", "own"), shares, strict=True):
        y = np.repeat(_AXIS * (1 - share / np.max(shares)), 2)
        points = [(0, _AXIS), *zip(np.repeat(x, 2)[1:-1], y, strict=True)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in [*points, (_WIDTH, _AXIS)])
        outlines += f'<polygon class="{name}" points="{path}"/>'
    places = np.linspace(_MARGIN, _WIDTH - _MARGIN, 5)
    ticks = "".join(
        f'<text x="{place:.0f}" y="{_HEIGHT - 4}">{value:.2f}</text>'
        for place, value in zip(places, np.interp(places, x, edges), strict=True)
    )
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="'
        f'Histogram of bits/dim">{outlines}<line class="axis" x1="0" x2="{_WIDTH}" '
        f'y1="{_AXIS}" y2="{_AXIS}"/>{ticks}</svg>'
    )
