"""The figures of a trained flow, written into a folder."""

from __future__ import annotations

import functools
import json
import os
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfp_realnvp.figures.attributes import attribute_change, attribute_obstacle
from tfp_realnvp.figures.figure import Figure, Subject, number
from tfp_realnvp.figures.latent_space import (
    MOST_LEVELS,
    conceptual_compression,
    interpolations,
    kept_fractions,
    manifold_weights,
    mixtures,
)
from tfp_realnvp.figures.pictures import (
    enlargement,
    image_grid,
    psnr,
    samples_beside_data,
    write_animation,
    write_png,
)
from tfp_realnvp.figures.samples import (
    check_memory,
    extrapolated_samples,
    has_default_base,
    sample_images,
)
from tfp_realnvp.files import remove_unfinished, write_json
from tfp_realnvp.flows.call_arguments import condition_vectors

# With eight angles a quarter turn, where the images are, is two steps.
_ANGLES, _PLACES, _FRAMES = 8, [0, 16, 2, 18], 16
_ROWS = _STEPS = 8
# Count of numbers to print; the others are in `figures.json` alone.
_LISTED = 5
_grid = functools.partial(image_grid, scale=None, gap=2)


def samples(subject: Subject) -> Iterator[Figure]:
    """Yields samples beside test images (Fig. 5), one class per column."""
    shown, columns = np.arange(subject.count), min(8, subject.count)
    headings: tuple[str, ...] = ()
    if subject.is_by_class:
        labels = subject.data.test.conditions
        classes = [np.flatnonzero(labels == k) for k in range(len(subject.names))]
        rows = min(subject.count // len(classes), *map(len, classes))
        if rows > 0:
            shown = np.stack([found[:rows] for found in classes], axis=1).ravel()
            columns, headings = len(classes), subject.names
    images, condition = subject.examples(int(shown.max()) + 1)
    images = images[shown]
    condition = None if condition is None else condition[shown]
    drawn = sample_images(
        subject.flow, len(images), condition=condition, **subject.draws
    )
    described = "Test images on the left, samples on the right."
    if headings:
        described += f" One class per column: {', '.join(headings)}."
    elif condition is not None:
        described += " Each sample has the condition of the test image in its place."
    yield Figure(
        "samples",
        samples_beside_data(images, drawn, columns=columns, headings=headings),
        f"{described} Temperature {subject.temperature:g}.",
        subject.numbers((images, condition), (drawn, condition)),
    )


def manifold(subject: Subject) -> Iterator[Figure]:
    """Yields the manifold of four test images (Eq. 14)."""
    images, condition = subject.examples(4)
    weights = manifold_weights(_ANGLES)
    found, mixed = mixtures(subject.flow, images, weights, condition, subject.seed)
    found = found.reshape(-1, *images.shape[1:])
    yield Figure(
        "manifold",
        _grid(found, columns=_ANGLES, marked=_PLACES),
        "The manifold that four test images (red) span in latent space (Eq. 14). phi "
        "grows from left to right, phi' from top to bottom, each by a full turn.",
        subject.numbers((images, condition), (found, mixed), again=found[_PLACES]),
    )


def animation(subject: Subject) -> Iterator[Figure]:
    """Yields the manifold of eight test images, with the third angle as time."""
    images, condition = subject.examples(8)
    weights = manifold_weights(_ANGLES, frames=_FRAMES)
    found, mixed = mixtures(subject.flow, images, weights, condition, subject.seed)
    frames = found.reshape(_FRAMES, -1, *images.shape[1:])
    again = np.concatenate([frames[0, _PLACES], frames[_FRAMES // 4, _PLACES]])
    # Frame 2 is halfway from the first four images to the others.
    halfway = slice(2 * _ANGLES**2, 3 * _ANGLES**2)
    of_halfway = None if mixed is None else mixed[halfway]
    yield Figure(
        "animation",
        np.stack([_grid(frame, columns=_ANGLES) for frame in frames]),
        "The manifold that eight test images span, with three angles; the third is "
        "time, with a full turn per loop. Programs that do not play animated PNG show "
        "the first frame, the manifold of four images.",
        subject.numbers((images, condition), (frames[2], of_halfway), again=again),
    )


def interpolation(subject: Subject) -> Iterator[Figure]:
    """Yields the paths between pairs of test images."""
    rows = min(_ROWS, subject.data.test.count // 2)
    images, condition = subject.examples(2 * rows)
    vectors = condition_vectors(subject.flow, condition, 2 * rows)
    pair = middle = None
    if vectors is not None:
        pair, place = (vectors[:rows], vectors[rows:]), (_STEPS // 2) / (_STEPS - 1)
        middle = (1 - place) * pair[0] + place * pair[1]
    first, second = images[:rows], images[rows:]
    found = interpolations(
        subject.flow, first, second, steps=_STEPS, condition=pair, seed=subject.seed
    )
    made = found[:, _STEPS // 2], middle
    ends = np.concatenate([found[:, 0], found[:, -1]])
    yield Figure(
        "interpolation",
        _grid(np.concatenate(found), columns=_STEPS),
        "Paths between pairs of test images (left and right), along arcs in latent "
        "space.",
        subject.numbers((images, condition), made, again=ends),
    )


def compression(subject: Subject) -> Iterator[Figure]:
    """Yields images that keep fewer and fewer of their latents (App. D)."""
    kept = kept_fractions(subject.flow)[:MOST_LEVELS]
    groups = max(1, _ROWS // len(kept))
    images, condition = subject.examples(groups * _ROWS)
    levels = conceptual_compression(
        subject.flow, images, kept=kept, condition=condition, seed=subject.seed
    )
    numbers = subject.numbers(
        (images, condition), (levels[-1], condition), again=levels[0]
    )
    for fraction, level in zip(kept[1:], levels[1:], strict=True):
        numbers[f"psnr_{fraction:g}"] = number(
            psnr(images, level), "dB", f"where {fraction:.4g} of the latents are kept"
        )
    images = np.concatenate(levels.swapaxes(0, 1))
    percents = ", ".join(f"{100 * f:g} %" for f in kept)
    yield Figure(
        "compression",
        _grid(images, columns=groups * len(kept)),
        f"Groups of {len(kept)}: a test image that keeps, from left to right, the "
        f"coarsest {percents} of its latents; the others are drawn anew.",
        numbers,
    )


def extrapolation(subject: Subject) -> Iterator[Figure]:
    """Yields samples that are larger by each of the factors (App. C)."""
    for factor in subject.factors:
        count = min(subject.count, 4 if factor <= 4 else 1)
        _, condition = subject.examples(count)
        drawn = extrapolated_samples(
            subject.flow, count, factor=factor, condition=condition, **subject.draws
        )
        height, width = drawn.shape[1:3]
        described = (
            f"Samples of {height} x {width} pixels, {factor} times the training size"
        )
        if condition is not None:
            described += ", under the conditions of the first test images"
        yield Figure(
            f"extrapolation_{factor}x",
            _grid(drawn, columns=min(2, count), scale=enlargement(drawn[:, ::factor])),
            f"{described}. Temperature {subject.temperature:g}.",
            {},
        )


CATALOG = {
    "samples": samples,
    "manifold": manifold,
    "interpolation": interpolation,
    "compression": compression,
    "animation": animation,
    "attribute_change": attribute_change,
    # Last, since it may run out of memory in spite of the estimate.
    "extrapolation": extrapolation,
}
_LEAST_IMAGES = {"manifold": 4, "interpolation": 2, "animation": 8}


def obstacle(subject: Subject, name: str) -> str | None:
    """Returns the reason why a subject cannot have a figure, or `None`.

    Raises:
      ValueError: If the figure would fit in memory only with smaller factors.
    """
    wanted, there = _LEAST_IMAGES.get(name, 1), subject.data.test.count
    if there < wanted:
        return f"it takes {wanted} test images, and there are only {there}"
    if name == "compression" and len(kept_fractions(subject.flow)) < 2:
        return "a flow with a single scale has no coarser latents to keep"
    if name == "attribute_change":
        return attribute_obstacle(subject)
    if name == "extrapolation":
        if not has_default_base(subject.flow):
            return "its base distribution is defined only for images of one size"
        for factor in subject.factors:
            check_memory(subject.flow, factor)
    return None


def write_figures(
    subject: Subject,
    directory: str | os.PathLike,
    *,
    only: Sequence[str] | None = None,
    made_with: dict[str, str] | None = None,
) -> None:
    """Writes PNG files and `figures.json`, and prints a line for each figure.

    Each figure is written when it is done, so none is lost if a later one fails.
    `figures.json` has an entry for each file in the folder, also from earlier calls.

    Args:
      subject: The flow, its data and settings.
      directory: The folder, created if it does not exist.
      only: Names of figures, keys of `CATALOG`; `None` is all.
      made_with: Further facts for `figures.json`, such as which weights.

    Raises:
      ValueError: If a figure does not fit in memory, or the flow can have none of them;
        before anything is written.
    """
    asked = [name for name in CATALOG if only is None or name in only]
    obstacles = {name: obstacle(subject, name) for name in asked}
    for name, reason in obstacles.items():
        if reason is not None:
            print(f"{name}: left out, since {reason}.", flush=True)
    names = [name for name in asked if obstacles[name] is None]
    if not names:
        raise ValueError(f"only: expected figures that this flow can have, got {only}.")
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    remove_unfinished(directory)
    entries = _read(directory)
    facts = {**(made_with or {}), **subject.draws}
    for name in names:
        begin = time.perf_counter()
        for figure in CATALOG[name](subject):
            path = directory / f"{figure.name}.png"
            write = write_animation if figure.picture.ndim == 4 else write_png
            write(path, figure.picture)
            about = {"description": figure.description, "numbers": figure.numbers}
            entries[path.name] = about | facts
            write_json(directory / "figures.json", entries)
            listed = ", ".join(
                f"{name} {found['value']:.4g} {found['unit']}"
                for name, found in list(figure.numbers.items())[:_LISTED]
                if found["value"] is not None
            )
            print(f"{path} ({time.perf_counter() - begin:.0f} s): {listed}", flush=True)
            begin = time.perf_counter()


def _read(directory: pathlib.Path) -> dict[str, Any]:
    """Returns the entries of the files that are there already."""
    path = directory / "figures.json"
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {k: v for k, v in entries.items() if (directory / k).is_file()}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"output: {path} is damaged: {error}") from error
