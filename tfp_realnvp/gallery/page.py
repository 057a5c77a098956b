"""The gallery: figures of trained flows on one self-contained web page."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import html
import importlib.resources
import json
import pathlib
import string
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfp_realnvp.figures import Figure, Subject
from tfp_realnvp.figures.catalog import CATALOG, obstacle
from tfp_realnvp.runs.run import SCORES_IN_SUMMARY
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory

# Figures and their headings; the template explains them.
_HEADINGS = {
    "samples": "Test images and samples",
    "extrapolation_2x": "Samples, 2x",
    "extrapolation_10x": "Samples, 10x",
    "compression": "Information loss",
    "animation": "Manifold",
}
_JPEG_QUALITY = 90


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the gallery.

    Attributes:
      title: Python `str`, name of the run.
      caption: Python `str`, a line of facts about it.
      figures: By name each `Figure`, or a `str` that says why it is missing.
    """

    title: str
    caption: str
    figures: Mapping[str, Figure | str]


def draw_row(subject: Subject, *, title: str, caption: str) -> Row:
    """Returns a row with five figures of a flow.

    Args:
      subject: The flow, its data and settings; `factors` is ignored.
      title: Python `str`, as for `Row`.
      caption: Python `str`, as for `Row`.
    """
    figures: dict[str, Figure | str] = {}
    for name in _HEADINGS:
        kind, _, factor = name.partition("_")
        factors = (int(factor.removesuffix("x")),) if factor else ()
        of_factor = dataclasses.replace(subject, factors=factors)
        try:
            reason = obstacle(of_factor, kind)
            figures[name] = reason or next(CATALOG[kind](of_factor))
        except (ValueError, tf.errors.ResourceExhaustedError) as error:
            # This picture does not fit in memory; the others may.
            reason = getattr(error, "message", None) or str(error)
            figures[name] = reason.splitlines()[0]
    return Row(title, caption, figures)


def gallery_page(rows: Sequence[Row], *, title: str = "Real NVP gallery") -> str:
    """Returns a self-contained web page as one string.

    Each row shows its figures side by side, or below one another on a phone. Only the
    animation needs JavaScript.

    Args:
      rows: A `Row` for each run.
      title: Python `str`, heading of the page.

    #### Example

    ```python
    >>> from tfp_realnvp.gallery import Row, gallery_page
    >>> row = Row("digits", "5.6 bits/dim", {"samples": "not drawn"})
    >>> gallery_page([row])[:15]
    '<!doctype html>'

    ```
    """
    script = page_file("page.js")
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return string.Template(page_file("page.html")).substitute(
        title=html.escape(title),
        style=page_file("page.css"),
        script=script,
        script_hash=base64.b64encode(digest).decode("ascii"),
        rows="\n".join(_section(i, row) for i, row in enumerate(rows, start=1)),
    )


def page_file(name: str) -> str:
    """Returns the text of a file in this package."""
    files = importlib.resources.files("tfp_realnvp.gallery")
    return (files / name).read_text(encoding="utf-8")


def _section(number: int, row: Row) -> str:
    title = html.escape(row.title)
    figures = "\n".join(
        _figure(f"run-{number}-{name}", name, shown, title)
        for name, shown in row.figures.items()
    )
    return (
        f'<section class="run" aria-labelledby="run-{number}">\n'
        f'<h2 id="run-{number}">{title}</h2>\n'
        f'<p class="caption">{html.escape(row.caption)}</p>\n'
        f'<div class="columns">\n{figures}\n</div>\n</section>'
    )


def _figure(identifier: str, name: str, figure: Figure | str, run: str) -> str:
    heading = _HEADINGS.get(name, name)
    if isinstance(figure, str):
        return (
            f'<figure class="missing {name}"><p>{html.escape(figure)}</p>'
            f"<figcaption>{heading}</figcaption></figure>"
        )
    label = f"{heading} of {run}"
    if figure.picture.ndim == 4:
        first, *others = figure.picture
        images = image_tag(first, f"Play: {label}, {len(figure.picture)} frames")
        images += "".join(image_tag(frame, "") for frame in others)
        shown = (
            '<button type="button" class="film" aria-pressed="false" '
            f'aria-describedby="about-animation">{images}</button>'
        )
    else:
        shown = image_tag(figure.picture, label)
    height, width = figure.picture.shape[-3:-1]
    return (
        f'<div class="cell {name}" style="--aspect: {width / height:.4f}">'
        f'<figure id="{identifier}" popover>{shown}'
        f'<figcaption>{heading} <button type="button" class="enlarge" '
        f'popovertarget="{identifier}" aria-label="Enlarge or close: {label}"></button>'
        "</figcaption></figure></div>"
    )


def image_tag(picture: np.ndarray, text: str) -> str:
    """Returns a `uint8` picture as HTML: a PNG, or a JPEG if that is smaller.

    As PNG, photographs would be three times as large, and too slow for a phone.
    """
    png = tf.io.encode_png(picture).numpy()
    jpeg = tf.io.encode_jpeg(
        picture, quality=_JPEG_QUALITY, chroma_downsampling=False
    ).numpy()
    kind, contents = ("png", png) if len(png) <= len(jpeg) else ("jpeg", jpeg)
    source = f"data:image/{kind};base64,{base64.b64encode(contents).decode('ascii')}"
    height, width, _ = picture.shape
    return f'<img src="{source}" width="{width}" height="{height}" alt="{text}">'


def run_facts(directory: RunDirectory, config: RunConfig, weights: str) -> list[str]:
    """Returns data set, bits/dim and steps of a run, as far as they are known.

    Raises:
      ValueError: If one of the run's files is damaged.
    """
    kind, _, path = config.dataset.partition(":")
    # The page may be published, and does not reveal where the folder is.
    name = f"{kind} {pathlib.Path(path).name}" if path else kind
    file = directory.path / "config.json"
    try:
        height, width, _ = config.flow["event_shape"]
        facts = [f"{name}, {height} x {width}"]
        facts += ["conditional"] if config.is_conditional else []
        facts += [f"{weights} weights"]
        file = directory.path / "summary.json"
        if file.is_file():
            summary = json.loads(file.read_text(encoding="utf-8"))
            key, split = SCORES_IN_SUMMARY[weights]
            facts += [f"{summary[key]:.3f} bits/dim on {split} images"]
            return [*facts, f"{summary['steps']:,} steps"]
        file = directory.history
        if not file.is_file():
            return [*facts, "training was cut off before its first score"]
        with open(file, newline="", encoding="utf-8") as lines:
            history = list(csv.DictReader(lines))
        average = "average_" if weights == "average" else ""
        scores = [float(row[f"val_{average}bits_per_dim"]) for row in history]
        bits = min(scores) if weights == "best" else scores[-1]
        facts += [f"{bits:.3f} bits/dim on validation images"]
        return [*facts, f"training not finished after epoch {len(history)}"]
    except (ValueError, LookupError, TypeError, RecursionError, csv.Error) as error:
        raise ValueError(f"run: {file} is damaged: {error!r}") from error
