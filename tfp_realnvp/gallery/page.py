"""The page: one file, with all that it shows inside."""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.resources
import math
import string
from collections.abc import Sequence

import numpy as np

from tfp_realnvp.arguments import check_text, shortened
from tfp_realnvp.gallery.pictures import contact_sheet, data_uri
from tfp_realnvp.gallery.row import Row

# Attribute of `Row`, heading, explanation.
_COLUMNS = (
    (
        "examples",
        "Examples",
        "Images of the test set, which the flow has never been trained on.",
    ),
    (
        "samples",
        "Samples",
        "Gaussian noise, turned into images by the flow in one pass. They should look "
        "as if they belonged to the examples (Sec. 4.2, Fig. 5, App. A).",
    ),
    (
        "samples_2x",
        "Samples, 2x",
        "The same weights on noise of twice the height and width. Convolutions do not "
        "care for the size: what comes out shows the texture that the flow has learned "
        "(App. C).",
    ),
    (
        "samples_10x",
        "Samples, 10x",
        "Ten times the height and width, drawn at once and not tiled (App. C).",
    ),
    (
        "information_loss",
        "Information loss",
        "An image is encoded, its finest latents are replaced by fresh noise, and it "
        "is decoded. From left to right fewer of its own latents are kept; what "
        "survives longest is what the coarse scales remember (App. D).",
    ),
    (
        "manifold",
        "Manifold",
        "Eight encoded images are joined by a sphere in latent space with three "
        "angles, and its points are decoded. Rows and columns are two of the angles, "
        "time is the third (Sec. 4.2, Fig. 6, App. B, there with four images and two "
        "angles). Point at it, tap it, or go to it with Tab: Enter stops and starts "
        "it, the arrow keys go step by step.",
    ),
)


def gallery_page(rows: Sequence[Row], *, title: str = "Real NVP gallery") -> str:
    """Returns a web page in one string, which loads nothing from anywhere.

    Each row shows its six pictures side by side, and below one another on a phone. All
    but the animation works without JavaScript.

    Args:
      rows: What to show, a `Row` for each run.
      title: Python `str`, heading of the page.

    Raises:
      TypeError: If these are no rows.
      ValueError: If there are none.

    #### Example

    ```python
    >>> from tfp_realnvp.gallery import Row, gallery_page
    >>> row = Row("digits", "5.6 bits/dim", *6 * ["not drawn"])
    >>> gallery_page([row])[:15]
    '<!doctype html>'

    ```
    """
    check_text("title", title)
    if not isinstance(rows, (list, tuple)) or not all(
        isinstance(row, Row) for row in rows
    ):
        raise TypeError(f"rows: expected a sequence of Rows, got {shortened(rows)}.")
    if not rows:
        raise ValueError("rows: expected at least one Row, got none.")
    files = importlib.resources.files("tfp_realnvp.gallery")
    template, style, script = (
        (files / name).read_text(encoding="utf-8")
        for name in ("page.html", "page.css", "page.js")
    )
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return string.Template(template).substitute(
        title=html.escape(title),
        style=style,
        script=script,
        script_hash=base64.b64encode(digest).decode("ascii"),
        legend="\n".join(
            f'<div id="about-{name}"><h2>{heading}</h2><p>{text}</p></div>'
            for name, heading, text in _COLUMNS
        ),
        rows="\n".join(_section(i, row) for i, row in enumerate(rows, start=1)),
    )


def _section(number: int, row: Row) -> str:
    figures = "\n".join(
        _figure(f"run-{number}-{name}", name, heading, row)
        for name, heading, _ in _COLUMNS
    )
    return (
        f'<section class="run" aria-labelledby="run-{number}">\n'
        f'<h2 id="run-{number}">{html.escape(row.title)}</h2>\n'
        f'<p class="caption">{html.escape(row.caption)}</p>\n'
        f'<div class="columns">\n{figures}\n</div>\n</section>'
    )


def _figure(identifier: str, name: str, heading: str, row: Row) -> str:
    picture = getattr(row, name)
    if isinstance(picture, str):
        return (
            f'<figure class="missing"><p>{html.escape(picture)}</p>'
            f"<figcaption>{heading}</figcaption></figure>"
        )
    label = html.escape(f"{heading} of {row.title}")
    shown = _film(picture, label) if name == "manifold" else _still(picture, label)
    height, width = picture.shape[-3:-1]
    return (
        f'<div class="cell" style="--aspect: {width / height:.4f}">'
        f'<figure id="{identifier}" popover>{shown}<figcaption>{heading} '
        f'<button type="button" class="enlarge" popovertarget="{identifier}" '
        f'aria-label="Enlarge or close: {label}"></button>'
        "</figcaption></figure></div>"
    )


def _still(picture: np.ndarray, label: str) -> str:
    height, width, _ = picture.shape
    return (
        f'<img src="{data_uri(picture)}" width="{width}" height="{height}" '
        f'alt="{label}">'
    )


def _film(frames: np.ndarray, label: str) -> str:
    sheet, columns = contact_sheet(frames)
    rows = math.ceil(len(frames) / columns)
    height, width, _ = sheet.shape
    return (
        '<button type="button" class="film" aria-pressed="false" '
        'aria-describedby="about-manifold" '
        f'data-frames="{len(frames)}" data-columns="{columns}" data-rows="{rows}" '
        f'style="--columns: {columns}; aspect-ratio: {width / columns} / '
        f'{height / rows}">'
        f'<img src="{data_uri(sheet)}" width="{width}" height="{height}" '
        f'alt="Play: {label}, {len(frames)} frames"></button>'
    )
