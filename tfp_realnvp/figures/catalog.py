"""The figures of a trained flow, and writing them into a folder."""

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

# With these a quarter of a turn, where the images are, is two steps.
_ANGLES, _PLACES, _FRAMES = 8, [0, 16, 2, 18], 16
_ROWS = _STEPS = 8
# Numbers that are printed; the rest is in `figures.json`.
_LISTED = 5
_grid = functools.partial(image_grid, scale=None, gap=2)


def samples(subject: Subject) -> Iterator[Figure]:
    """Yields samples beside test images (Fig. 5), a class in each column."""
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
    described = "Test images left, samples right."
    if headings:
        described += f" A class in each column: {', '.join(headings)}."
    elif condition is not None:
        described += " Each sample is under the condition of the image in its place."
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
        "The manifold that four test images (red) span in latent space (Eq. 14). From "
        "left to right phi grows, from top to bottom phi', each by a full turn.",
        subject.numbers((images, condition), (found, mixed), again=found[_PLACES]),
    )


def animation(subject: Subject) -> Iterator[Figure]:
    """Yields the manifold of eight test images, with the third angle as time."""
    images, condition = subject.examples(8)
    weights = manifold_weights(_ANGLES, frames=_FRAMES)
    found, mixed = mixtures(subject.flow, images, weights, condition, subject.seed)
    frames = found.reshape(_FRAMES, -1, *images.shape[1:])
    again = np.concatenate([frames[0, _PLACES], frames[_FRAMES // 4, _PLACES]])
    # The frame halfway from the first four images to the others.
    halfway = slice(2 * _ANGLES**2, 3 * _ANGLES**2)
    of_halfway = None if mixed is None else mixed[halfway]
    yield Figure(
        "animation",
        np.stack([_grid(frame, columns=_ANGLES) for frame in frames]),
        "The manifold that eight test images span, with three angles; the third is "
        "time, a full turn of which is the loop. Programs that know no animated PNG "
        "show the first frame, the manifold of four images.",
        subject.numbers((images, condition), (frames[2], of_halfway), again=again),
    )


def interpolation(subject: Subject) -> Iterator[Figure]:
    """Yields the ways between pairs of test images."""
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
        "Ways between pairs of test images, which are left and right, along arcs in "
        "latent space.",
        subject.numbers((images, condition), made, again=ends),
    )


def compression(subject: Subject) -> Iterator[Figure]:
    """Yields images of which ever fewer latents are kept (App. D)."""
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
        f"Groups of {len(kept)}: a test image of whose latents, from left to right, "
        f"{percents} are kept, the coarsest; the others are drawn anew.",
        numbers,
    )


def extrapolation(subject: Subject) -> Iterator[Figure]:
    """Yields, for each factor, samples that are so many times larger (App. C)."""
    for factor in subject.factors:
        count = min(subject.count, 4 if factor <= 4 else 1)
        _, condition = subject.examples(count)
        drawn = extrapolated_samples(
            subject.flow, count, factor=factor, condition=condition, **subject.draws
        )
        height, width = drawn.shape[1:3]
        described = (
            f"Samples of {height} x {width} pixels, {factor} times as high and wide"
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
    # Last, for what takes much memory may fail in spite of the estimate.
    "extrapolation": extrapolation,
}
_LEAST_IMAGES = {"manifold": 4, "interpolation": 2, "animation": 8}


def obstacle(subject: Subject, name: str) -> str | None:
    """Returns why a subject cannot have a figure, or `None`.

    Raises:
      ValueError: If it could have it with smaller factors, which take less memory.
    """
    wanted, there = _LEAST_IMAGES.get(name, 1), subject.data.test.count
    if there < wanted:
        return f"it takes {wanted} test images, and there are {there}"
    if name == "compression" and len(kept_fractions(subject.flow)) < 2:
        return "its single scale has no latents that are coarser than others"
    if name == "attribute_change":
        return attribute_obstacle(subject)
    if name == "extrapolation":
        if not has_default_base(subject.flow):
            return "its base distribution is known for images of its own size alone"
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
    """Writes PNG files and `figures.json`, and prints a line for each.

    Each figure is written when it is done, so none is lost if a later one fails.
    `figures.json` has an entry for each file in the folder, also of earlier calls.

    Args:
      subject: What the figures are of.
      directory: The folder, made if it is not there.
      only: Names of figures, keys of `CATALOG`; `None` is all.
      made_with: Further facts for `figures.json`, such as which weights.

    Raises:
      ValueError: Before anything is written, if a figure does not fit in memory, or
        none is left.
    """
    asked = [name for name in CATALOG if only is None or name in only]
    obstacles = {name: obstacle(subject, name) for name in asked}
    for name, reason in obstacles.items():
        if reason is not None:
            print(f"{name}: left out, for {reason}.", flush=True)
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
    """Returns what is known of files that are there already."""
    path = directory / "figures.json"
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {k: v for k, v in entries.items() if (directory / k).is_file()}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"output: {path} is damaged: {error}") from error
