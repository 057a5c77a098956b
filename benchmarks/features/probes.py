"""The rows of the table. Each probe builds and runs flows, and returns its cell."""

from __future__ import annotations

import contextlib
import functools
import importlib
import pathlib
import platform
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from harness.machine import commit_of, version_of
from harness.process import Process
from torch_checkout import use_checkout

from features import CONDITION_SIZE, IMAGE_PEER, LIBRARIES, SIDE, SIZE, Attempt


class Cell(NamedTuple):
    """The text of a cell, and its footnotes."""

    text: str
    notes: Sequence[str] = ()


class Unfit(Exception):
    """An attempt ran, but its result does not count."""


def said_by(error):
    """Returns an exception in one line."""
    if isinstance(error, Unfit):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("in user code"):
        lines = lines[-1:]  # before it, TensorFlow tells the way through its files
    message = " ".join(lines[:1]).removeprefix(f"{type(error).__name__}: ")
    message = message if len(message) <= 120 else message[:117] + "..."
    return f"`{type(error).__name__}: {message.replace('`', '')}`"


def _first(attempts, check):
    """Returns the cell of the first attempt that passes."""
    notes = []
    for attempt in attempts:
        try:
            check(attempt)
        except Exception as error:
            notes.append(f"{attempt.what}: {said_by(error)}")
        else:
            return Cell(attempt.cell, notes + [attempt.note] * bool(attempt.note))
    return Cell("no", notes)


def _check_density(subject, flow, shape):
    """Draws and scores events of a shape; returns the events."""
    x = flow.sample(3)
    if tuple(x.shape) != (3, *shape):
        raise Unfit(f"drew events of {tuple(x.shape[1:])} instead of {tuple(shape)}")
    scores = subject.tools.to_numpy(flow.log_prob(x))
    if scores.shape != (3,) or not np.isfinite(scores).all():
        raise Unfit(f"scored 3 events {scores}")
    return x


def images(subject):
    return _first(subject.images, functools.partial(_check_images, subject))


def _check_images(subject, attempt):
    flow, tools = attempt.make(), subject.tools
    x = _check_density(subject, flow, tools.IMAGE_SHAPE)
    tools.disturb(flow)
    pixels = tools.to_numpy(x[:1]).repeat(2, axis=0)
    pixels[1, 1, 1, 1] += 0.1
    z = tools.to_numpy(flow.inverse(tools.tensor(pixels))[0])
    # If no more latents change than a pixel has channels, no pixel depends on another.
    if (abs(z[1] - z[0]) > 1e-6).sum() <= 3:
        raise Unfit("no pixel depends on another")


def vectors(subject):
    return _first(subject.vectors, lambda a: _check_density(subject, a.make(), (SIZE,)))


def conditions(subject):
    def check(attempt):
        x, log_prob = attempt.make()
        given = (
            subject.tools.normal((len(x), CONDITION_SIZE), seed) for seed in (1, 2)
        )
        if np.allclose(*(subject.tools.to_numpy(log_prob(c)) for c in given)):
            raise Unfit("the density does not depend on the condition")

    return _first(subject.conditions, check)


def larger(subject):
    flows = []
    for attempt in subject.images:
        with contextlib.suppress(Exception):  # told by the row of images
            _check_images(subject, attempt)
            flows.append(attempt.make())  # that one's weights were moved
    if not flows:
        return Cell("-")

    def check(attempt):
        x = subject.tools.to_numpy(attempt.make(flows[0]))
        shape_is_right = sorted(x.shape) == [2, 3, 2 * SIDE, 2 * SIDE]
        if not (shape_is_right and np.isfinite(x).all()):
            raise Unfit(f"drew {x.shape}, {np.isfinite(x).mean():.0%} of it finite")

    return _first(subject.larger, check)


def log_prob_runs(subject):
    flow = subject.flow()
    x = subject.tools.copied(flow.sample(4))
    return Cell(_runs(subject, flow, lambda: flow.log_prob(x)))


def sample_and_score_runs(subject):
    flow = subject.flow()
    text = _runs(subject, flow, lambda: flow.log_prob(flow.sample(4)))
    if flow.joint is None:
        return Cell(text)
    name, draw_and_score = flow.joint
    once = _runs(subject, flow, lambda: draw_and_score(4))
    return (
        Cell(text)
        if once == text
        else Cell(f"{text}, or {once}", [f"{once} by {name}"])
    )


def _runs(subject, flow, call):
    """Returns the number of runs of each network in a call, as text."""
    runs = subject.tools.count_calls(flow.networks)
    call()
    return f"{runs() / len(flow.networks):g}"


def keras_weights(subject):
    if subject.keras_flow is None:
        return Cell("-")
    return Cell("{} of {}".format(*subject.tools.seen_weights(subject.keras_flow())))


def unknown_batch(subject):
    if subject.keras_flow is None:
        return Cell("-")
    try:
        subject.tools.score_batches_unknown_to_the_graph(subject.flow())
    except Exception as error:
        return Cell("no", [said_by(error)])
    return Cell("yes")


def log_det(subject):
    flow = subject.flow()
    subject.tools.disturb(flow)
    x = flow.sample(1)
    found = float(subject.tools.to_numpy(flow.inverse(x)[1])[0])
    expected = np.linalg.slogdet(subject.tools.jacobian(flow, x).astype(float))[1]
    if abs(expected) < 1e-3:
        raise Unfit(f"a flow that scales nothing, log-determinant {expected:.2g}")
    error = abs(found / expected - 1)
    # NaN is neither.
    return Cell("yes") if error < 1e-3 else Cell("no", [f"relative error {error:.1e}"])


def artifact(subject):
    flow, tools = subject.flow(), subject.tools
    tools.disturb(flow)
    x = tools.copied(flow.sample(3))
    expected = tools.to_numpy(flow.log_prob(x))

    def check(attempt):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            attempt.make(flow, x, folder)
            np.save(folder / "x.npy", tools.to_numpy(x))
            with Process(folder / "log.txt") as fresh:
                scores = fresh.ask("features.rescore:rescore", folder=name)
        if not np.allclose(scores, expected, rtol=1e-3):
            raise Unfit(f"scores {scores} instead of {expected}")

    attempts = [Attempt(name, name, save) for name, save in tools.ARTIFACTS.items()]
    return _first(attempts, check)


PROBES = {
    "Density over images (height, width, channels)": images,
    "Images of another size from the same weights": larger,
    "Density over vectors": vectors,
    "Density given a condition": conditions,
    "Network runs per coupling: `log_prob`": log_prob_runs,
    "Network runs per coupling: `sample`, then `log_prob` of it": sample_and_score_runs,
    "Log-determinant is that of automatic differentiation": log_det,
    "Weights of Keras 3 networks in `trainable_variables`": keras_weights,
    "Traced by `tf.function` for batches of unknown size": unknown_batch,
    "Scores in a new process without the library, from": artifact,
}


def find(library, image_peer):
    """Returns the results of all probes, and the versions of the packages."""
    module, packages = LIBRARIES[library]
    versions = {name: version_of(name) for name in packages}
    if library == IMAGE_PEER:
        if image_peer is None:
            raise ValueError("no checkout given with --image-peer")
        use_checkout(image_peer)
        versions[IMAGE_PEER] = (commit_of(image_peer) or "of unknown commit")[:17]
    subject = importlib.import_module(f"features.{module}").SUBJECT
    cells = {}
    for row, probe in PROBES.items():
        subject.tools.seed()
        cells[row] = probe(subject)._asdict()
    return {"cells": cells, "versions": versions, "python": platform.python_version()}
